import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';
import { type Cookie, endOf } from './lifetimes.js';

type Values = Record<string, unknown>;
const valuesOf = (session: SessionData): Values => session as unknown as Values;
const own = (of: Values, key: string): unknown => (Object.hasOwn(of, key) ? of[key] : undefined);

const differAt = (a: SessionData, b: SessionData, key: string): boolean =>
  Object.hasOwn(a, key) !== Object.hasOwn(b, key) || !isDeepStrictEqual(own(valuesOf(a), key), own(valuesOf(b), key));

/** The top-level keys in which two sessions differ, deleted ones among them; the cookie is not one. */
function differences(a: SessionData, b: SessionData): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  keys.delete('cookie');
  return [...keys].filter((key) => differAt(a, b, key));
}

/** Do two sessions differ in anything but the cookie? */
export const differ = (a: SessionData, b: SessionData): boolean => differences(a, b).length > 0;

/**
 * A request's changes over a session that another request saved meanwhile: the top-level keys in which `mine` differs from
 * `base` (what this request read). The cookie is this request's, as the browser gets it, but for its end (see mergeCookies).
 * `unanswered` are this request's own earlier saves that got no answer: where what stands there has a value of theirs, that
 * value is this request's own, and not another's. All of them as they are when they have been stored and read again, so that
 * a Date and its text are the same.
 */
export function mergeSession(
  base: SessionData,
  mine: SessionData,
  theirs: SessionData,
  unanswered: readonly SessionData[] = [],
): SessionData {
  const written = unanswered.flatMap((one) => differences(base, one).filter((key) => !differAt(one, theirs, key)));
  const merged = valuesOf(theirs);
  for (const key of new Set([...differences(base, mine), ...written]))
    if (Object.hasOwn(mine, key)) define(merged, key, own(valuesOf(mine), key));
    else delete merged[key];
  merged.cookie = mergeCookies(base.cookie, mine.cookie, theirs.cookie);
  return merged as unknown as SessionData;
}

/** So much more or less is another lifetime: express-session lets maxAge slip by a millisecond now and then. */
const ANOTHER_MS = 1000;

/** This request's cookie; where it did not change how long the session lives, the later end, and a kind that others chose. */
function mergeCookies(base: Cookie, mine: Cookie, theirs: Cookie): Cookie {
  if (!mine || !theirs) return mine;
  const [was, end, other] = [endOf(base), endOf(mine), endOf(theirs)];
  const changed =
    (was === undefined) !== (end === undefined) ||
    Math.abs((base?.originalMaxAge ?? 0) - (mine.originalMaxAge ?? 0)) >= ANOTHER_MS;
  if (changed) return mine;
  const keptKind = (was === undefined) === (other === undefined);
  if (keptKind && !(other !== undefined && end !== undefined && other > end)) return mine;
  return { ...mine, expires: theirs.expires ?? null, originalMaxAge: theirs.originalMaxAge };
}

/** A key of any name, `__proto__` too, as JSON.parse makes it. */
function define(of: Values, key: string, value: unknown): void {
  Object.defineProperty(of, key, { value, enumerable: true, configurable: true, writable: true });
}
