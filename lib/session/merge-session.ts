import type { SessionData } from 'express-session';

type Values = Record<string, unknown>;

/**
 * A request's changes over a session that another request saved meanwhile: the top-level keys in which `mine` differs from
 * `base` (what this request read), deleted ones among them. The cookie is this request's, whole: it is what the browser
 * gets. All three as they are when they have been stored and read again, so that a Date and its text are the same.
 */
export function mergeSession(
  base: SessionData,
  mine: SessionData,
  theirs: SessionData,
  same: (a: unknown, b: unknown) => boolean,
): SessionData {
  const merged: Values = { ...theirs, cookie: mine.cookie };
  for (const key of new Set([...Object.keys(base), ...Object.keys(mine)])) {
    if (key === 'cookie' || same((base as unknown as Values)[key], (mine as unknown as Values)[key])) continue;
    if (key in mine) define(merged, key, (mine as unknown as Values)[key]);
    else delete merged[key];
  }
  return merged as unknown as SessionData;
}

/** A key of any name, `__proto__` too, as JSON.parse makes it. */
function define(of: Values, key: string, value: unknown): void {
  Object.defineProperty(of, key, { value, enumerable: true, configurable: true, writable: true });
}
