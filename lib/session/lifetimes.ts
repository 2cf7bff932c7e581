import type { SessionData } from 'express-session';
import { MAX_TTL_SECONDS } from '../redis/expiry.js';
import { AbsoluteLifetime } from './absolute-lifetime.js';
import type { resolveStoreOptions } from './options.js';

type Options = Pick<
  ReturnType<typeof resolveStoreOptions>,
  'ttlSeconds' | 'newSessionTtlSeconds' | 'maxLifetimeSeconds' | 'touchAfterSeconds' | 'disableTouch' | 'disableTTL'
>;

/** Seconds for a session of which the ttl function says nothing sensible. */
const DEFAULT_TTL_SECONDS = 86_400;
/** Nothing lives longer than this in Redis, whatever a cookie or a ttl function says. */
const MAX_MS = MAX_TTL_SECONDS * 1000;
const MAX_DAYS = MAX_TTL_SECONDS / 86_400;
/** express-session lets maxAge slip by a millisecond now and then. */
const SLIP_MS = 100;

/** Does a session hold nothing but its cookie? */
export const isEmpty = (session: SessionData): boolean => Object.keys(session).every((key) => key === 'cookie');

export type Cookie = SessionData['cookie'] | undefined;

/** When a cookie ends, in ms since 1970; undefined where it does not say it, NaN where it says what is no date. */
export const endOf = (cookie: Cookie): number | undefined =>
  cookie?.expires ? new Date(cookie.expires).getTime() : undefined;

/** How long sessions live. Every number that a cookie or a ttl function gives to Redis goes through here. */
export class Lifetimes {
  readonly absolute: AbsoluteLifetime;

  constructor(
    readonly options: Options,
    /** Is told what is no time to live: the default is taken instead. */
    readonly onInvalid: (what: string) => void,
  ) {
    this.absolute = new AbsoluteLifetime(options.maxLifetimeSeconds);
  }

  /** What this session has left, in whole ms; 0 or less where it has ended. `returning` says that its cookie has come back. */
  ms(session: SessionData, returning: boolean): number {
    const { newSessionTtlSeconds, disableTouch, disableTTL } = this.options;
    // A provisional lifetime is for sessions that a touch will lengthen.
    const provisional = !returning && isEmpty(session) && !disableTouch && !disableTTL;
    const ms = this.#ms(session);
    // the end of a cookie that lives for exactly so long may have slipped
    if (ms > MAX_MS + SLIP_MS && !disableTTL)
      this.onInvalid(
        `a session is to live for more than ${MAX_DAYS} days: ${MAX_DAYS} are taken instead, as browsers do`,
      );
    const most = Math.min(this.absolute.leftMs(session), MAX_MS);
    return Math.floor(Math.min(ms, provisional ? newSessionTtlSeconds * 1000 : most, most));
  }

  /** For how many seconds a session is meant to live in all; 0 where its cookie does not say it. */
  lifetimeSeconds(session: SessionData): number {
    if (typeof this.options.ttlSeconds === 'function') return this.#seconds(session);
    return Math.round((session.cookie?.originalMaxAge ?? 0) / 1000) || 0;
  }

  /** For how long an expiry is not renewed again. */
  touchAfterMs(ttlMs: number): number {
    const { touchAfterSeconds } = this.options;
    return touchAfterSeconds === undefined
      ? Math.min(ttlMs / 100, 300_000)
      : Math.min(touchAfterSeconds * 1000, ttlMs / 4);
  }

  /**
   * Has this cookie merely run out? It has if its end was still to come when this request read or last moved it; else the
   * application has ended the session. `known` are its cookies as they were read and stored, `takenAt` says when, in ms.
   */
  ranOut(cookie: Cookie, known: readonly Cookie[], takenAt: number): boolean {
    const end = endOf(cookie);
    if (end === undefined || !(end <= Date.now())) return false;
    if (known.some((one) => endOf(one) === end)) return true;
    const lives = cookie?.originalMaxAge ?? 0;
    return lives > 0 && end - lives >= takenAt - SLIP_MS;
  }

  #ms(session: SessionData): number {
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
    // a promise that nobody waits for must not end the process when it is rejected
    if (seconds instanceof Promise) seconds.catch(() => {});
    this.onInvalid(`option "ttl" gave no number of seconds: ${DEFAULT_TTL_SECONDS} are taken instead`);
    return DEFAULT_TTL_SECONDS;
  }
}
