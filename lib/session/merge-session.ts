import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';
import { mergeHidden } from './hidden-fields.js';
import { type Cookie, endOf } from './lifetimes.js';

type Values = Record<string, unknown>;
const valuesOf = (session: SessionData): Values => session as unknown as Values;
const own = (values: Values, key: string): unknown => (Object.hasOwn(values, key) ? values[key] : undefined);

/** Do two sessions differ in a top-level key? */
export const differAt = (a: SessionData, b: SessionData, key: string): boolean =>
  Object.hasOwn(a, key) !== Object.hasOwn(b, key) || !isDeepStrictEqual(own(valuesOf(a), key), own(valuesOf(b), key));

/** The top-level keys in which two sessions differ, also those that only one has. The cookie is not compared. */
export function differences(a: SessionData, b: SessionData): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  keys.delete('cookie');
  return [...keys].filter((key) => differAt(a, b, key));
}

/**
 * What a request changed. All sessions in it have gone through the serializer and back, so that a Date equals the text that it
 * is stored as.
 */
export interface Changes {
  /** The session that the request loaded. It may lack the top-level keys in which `saved` does not differ from it. */
  readonly loaded: SessionData;
  /** The session that the request saves. It may lack the same keys. */
  readonly saved: SessionData;
  /** The top-level keys in which the two differ. */
  readonly keys: readonly string[];
  /**
   * Earlier saves of this request that got no answer. Where one of their values stands in Redis now, it counts as written by
   * this request.
   */
  readonly unanswered: readonly SessionData[];
}

/**
 * Puts a request's changes over the session that stands in Redis now, and returns the top-level keys that it wrote or deleted.
 * The cookie becomes this request's, as the browser gets it; for its end see mergeCookies(). Hidden fields are merged, too.
 */
export function mergeInto(current: SessionData, { loaded, saved, keys, unanswered }: Changes): readonly string[] {
  // a key that was changed back since an unanswered save is not in `keys`, but Redis has what that save wrote
  const written = unanswered.flatMap((one) => differences(loaded, one).filter((key) => !differAt(one, current, key)));
  const values = valuesOf(current);
  const changed = written.length === 0 ? keys : [...new Set([...keys, ...written])];
  for (const key of changed)
    if (Object.hasOwn(saved, key)) define(values, key, own(valuesOf(saved), key));
    else delete values[key];
  mergeRest(current, current, { loaded, saved });
  return changed;
}

/** Merges the cookie and the hidden fields of a session, which are not its contents, with those of the session in Redis. */
export function mergeRest(
  session: SessionData,
  current: SessionData,
  { loaded, saved }: Pick<Changes, 'loaded' | 'saved'>,
): void {
  mergeHidden(session, loaded, saved);
  valuesOf(session).cookie = mergeCookies(loaded.cookie, saved.cookie, current.cookie);
}

/** Lifetimes that differ by less count as the same: express-session lets maxAge slip by a millisecond now and then. */
const MIN_LIFETIME_CHANGE_MS = 1000;

/**
 * The cookie of this request. Where the request did not change how long the session lives, the cookie gets the later of the two
 * ends; where another request has given the cookie an end, or taken it away, that stays.
 */
function mergeCookies(loaded: Cookie, saved: Cookie, current: Cookie): Cookie {
  if (!saved || !current) return saved;
  const [loadedEnd, savedEnd, currentEnd] = [endOf(loaded), endOf(saved), endOf(current)];
  const hasChangedLifetime =
    (loadedEnd === undefined) !== (savedEnd === undefined) ||
    Math.abs((loaded?.originalMaxAge ?? 0) - (saved.originalMaxAge ?? 0)) >= MIN_LIFETIME_CHANGE_MS;
  if (hasChangedLifetime) return saved;
  const otherGaveOrTookEnd = (loadedEnd === undefined) !== (currentEnd === undefined);
  const endsLaterInRedis = currentEnd !== undefined && savedEnd !== undefined && currentEnd > savedEnd;
  if (!otherGaveOrTookEnd && !endsLaterInRedis) return saved;
  return { ...saved, expires: current.expires ?? null, originalMaxAge: current.originalMaxAge };
}

/** Sets a key of any name, `__proto__` too, as JSON.parse() does. */
function define(values: Values, key: string, value: unknown): void {
  Object.defineProperty(values, key, { value, enumerable: true, configurable: true, writable: true });
}
