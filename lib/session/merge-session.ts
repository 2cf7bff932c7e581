import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';
import { type Cookie, endOf } from './lifetimes.js';

type Values = Record<string, unknown>;
const valuesOf = (session: SessionData): Values => session as unknown as Values;
const own = (of: Values, key: string): unknown => (Object.hasOwn(of, key) ? of[key] : undefined);

export const differAt = (a: SessionData, b: SessionData, key: string): boolean =>
  Object.hasOwn(a, key) !== Object.hasOwn(b, key) || !isDeepStrictEqual(own(valuesOf(a), key), own(valuesOf(b), key));

/** The top-level keys in which two sessions differ, deleted ones among them; the cookie is not one. */
export function differences(a: SessionData, b: SessionData): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  keys.delete('cookie');
  return [...keys].filter((key) => differAt(a, b, key));
}

/** What a request changed. All as it is when it has been stored and read again, so that a Date and its text are the same. */
export interface Changes {
  /** what the request read, at least where `mine` differs from it */
  readonly base: SessionData;
  readonly mine: SessionData;
  /** the top-level keys in which the two differ */
  readonly keys: readonly string[];
  /**
   * This request's own earlier saves that got no answer: where what stands there has a value of theirs, that value is this
   * request's own, and not another's.
   */
  readonly unanswered: readonly SessionData[];
}

/**
 * Puts a request's changes over a session that another request saved meanwhile; the top-level keys that it put or deleted.
 * The cookie is this request's, as the browser gets it, but for its end (see mergeCookies).
 */
export function mergeInto(theirs: SessionData, { base, mine, keys, unanswered }: Changes): readonly string[] {
  const written = unanswered.flatMap((one) => differences(base, one).filter((key) => !differAt(one, theirs, key)));
  const merged = valuesOf(theirs);
  const changed = written.length === 0 ? keys : [...new Set([...keys, ...written])];
  for (const key of changed)
    if (Object.hasOwn(mine, key)) define(merged, key, own(valuesOf(mine), key));
    else delete merged[key];
  merged.cookie = mergeCookies(base.cookie, mine.cookie, theirs.cookie);
  return changed;
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
