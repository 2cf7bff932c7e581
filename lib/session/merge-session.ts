import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';

type Values = Record<string, unknown>;
const valuesOf = (session: SessionData): Values => session as unknown as Values;
const own = (of: Values, key: string): unknown => (Object.hasOwn(of, key) ? of[key] : undefined);

/** The top-level keys in which two sessions differ, deleted ones among them; the cookie is not one. */
function differences(a: SessionData, b: SessionData): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  keys.delete('cookie');
  return [...keys].filter(
    (key) =>
      Object.hasOwn(a, key) !== Object.hasOwn(b, key) ||
      !isDeepStrictEqual(own(valuesOf(a), key), own(valuesOf(b), key)),
  );
}

/** Do two sessions differ in anything but the cookie? */
export const differ = (a: SessionData, b: SessionData): boolean => differences(a, b).length > 0;

/**
 * A request's changes over a session that another request saved meanwhile: the top-level keys in which `mine` differs from
 * `base` (what this request read). The cookie is this request's, whole: it is what the browser gets. All three as they are
 * when they have been stored and read again, so that a Date and its text are the same.
 */
export function mergeSession(base: SessionData, mine: SessionData, theirs: SessionData): SessionData {
  const merged = valuesOf(theirs);
  for (const key of differences(base, mine))
    if (Object.hasOwn(mine, key)) define(merged, key, own(valuesOf(mine), key));
    else delete merged[key];
  merged.cookie = mine.cookie;
  return merged as unknown as SessionData;
}

/** A key of any name, `__proto__` too, as JSON.parse makes it. */
function define(of: Values, key: string, value: unknown): void {
  Object.defineProperty(of, key, { value, enumerable: true, configurable: true, writable: true });
}
