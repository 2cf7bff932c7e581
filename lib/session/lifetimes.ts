import type { SessionData } from 'express-session';
import { MAX_TTL_SECONDS } from '../redis/expiry.js';
import { AbsoluteLifetime } from './absolute-lifetime.js';
import { ignoreRejection } from './application-functions.js';
import type { resolveStoreOptions } from './options.js';

type Options = Pick<
  ReturnType<typeof resolveStoreOptions>,
  'ttlSeconds' | 'newSessionTtlSeconds' | 'maxLifetimeSeconds' | 'touchAfterSeconds' | 'disableTouch' | 'disableTTL'
>;

/** The ttl of a session for which the application's `ttl` function returns no finite number. */
const DEFAULT_TTL_SECONDS = 86_400;
/** The longest time for which a session is kept in Redis, whatever its cookie or a ttl function says. */
const MAX_MS = MAX_TTL_SECONDS * 1000;
const MAX_DAYS = MAX_TTL_SECONDS / 86_400;
/** Times that differ by less count as the same: express-session lets maxAge slip by a millisecond now and then. */
const SLIP_MS = 100;

/** Does a session hold nothing but its cookie? */
export const isEmpty = (session: SessionData): boolean => Object.keys(session).every((key) => key === 'cookie');

export type Cookie = SessionData['cookie'] | undefined;

/** When a cookie ends, in ms since 1970; undefined where the cookie has no end, NaN where its end is not a date. */
export const endOf = (cookie: Cookie): number | undefined =>
  cookie?.expires ? new Date(cookie.expires).getTime() : undefined;

/** Says how long sessions live. Every expiry that comes from a cookie or a ttl function is checked and bounded here. */
export class Lifetimes {
  readonly absolute: AbsoluteLifetime;

  constructor(
    readonly options: Options,
    /** Is called with a sentence on each lifetime that can't be used, for which a default is taken. */
    readonly onInvalid: (what: string) => void,
  ) {
    this.absolute = new AbsoluteLifetime(options.maxLifetimeSeconds);
  }

  /** How long this session still lives, in whole ms; 0 or less: it has ended. `returning`: has a browser sent its cookie? */
  ms(session: SessionData, returning: boolean): number {
    const { newSessionTtlSeconds, disableTouch, disableTTL } = this.options;
    // A new empty session lives for `newSessionTtl`, where a touch lengthens that when its cookie comes back.
    const isProvisional = !returning && isEmpty(session) && !disableTouch && !disableTTL;
    const ms = this.#unboundedMs(session);
    // express-session may have moved the end of a cookie that lives for exactly MAX_MS by a few ms
    if (ms > MAX_MS + SLIP_MS && !disableTTL)
      this.onInvalid(
        `a session is to live for more than ${MAX_DAYS} days: ${MAX_DAYS} are taken instead, as browsers do`,
      );
    const maxMs = Math.min(this.absolute.leftMs(session), MAX_MS);
    return Math.floor(Math.min(ms, isProvisional ? newSessionTtlSeconds * 1000 : maxMs, maxMs));
  }

  /** The whole lifetime of a session in seconds, by its cookie or the ttl function; 0 where the cookie has no maxAge. */
  lifetimeSeconds(session: SessionData): number {
    if (typeof this.options.ttlSeconds === 'function') return this.#seconds(session);
    return Math.round((session.cookie?.originalMaxAge ?? 0) / 1000) || 0;
  }

  /**
   * How long an expiry that was just renewed is left as it is, ms: what option `touchAfter` says, but at most a quarter of the
   * ttl, so that no session ends while its visitor is there. Without that option 1 % of the ttl, five minutes at most.
   */
  touchAfterMs(ttlMs: number): number {
    const { touchAfterSeconds } = this.options;
    return touchAfterSeconds === undefined
      ? Math.min(ttlMs / 100, 300_000)
      : Math.min(touchAfterSeconds * 1000, ttlMs / 4);
  }

  /**
   * Has this cookie merely run out? It has if its end was still to come when this request read or last renewed it; else the
   * application has ended the session. `known` are the session's cookies as they were read and stored; `takenAt` is when that
   * was, in ms since 1970.
   */
  ranOut(cookie: Cookie, known: readonly Cookie[], takenAt: number): boolean {
    const end = endOf(cookie);
    if (end === undefined || !(end <= Date.now())) return false;
    if (known.some((one) => endOf(one) === end)) return true;
    // or express-session has renewed the cookie since `takenAt`
    const lifetimeMs = cookie?.originalMaxAge ?? 0;
    return lifetimeMs > 0 && end - lifetimeMs >= takenAt - SLIP_MS;
  }

  /** The time that the ttl function, the cookie or option `ttl` gives, before any bound. */
  #unboundedMs(session: SessionData): number {
    const { ttlSeconds } = this.options;
    if (typeof ttlSeconds === 'function') return this.#seconds(session) * 1000;
    const end = endOf(session.cookie);
    if (end === undefined) return ttlSeconds * 1000;
    if (!Number.isNaN(end)) return end - Date.now();
    this.onInvalid('a session’s cookie has an end that is no date (maxAge: Infinity?): option "ttl" is taken instead');
    return ttlSeconds * 1000;
  }

  #seconds(session: SessionData): number {
    const secondsOf = this.options.ttlSeconds as (session: SessionData) => unknown;
    const seconds = secondsOf(session);
    if (typeof seconds === 'number' && Number.isFinite(seconds)) return seconds;
    ignoreRejection(seconds);
    this.onInvalid(`option "ttl" gave no number of seconds: ${DEFAULT_TTL_SECONDS} are taken instead`);
    return DEFAULT_TTL_SECONDS;
  }
}
