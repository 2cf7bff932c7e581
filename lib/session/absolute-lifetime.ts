import type { Session, SessionData } from 'express-session';
import { hiddenOf, hide } from './hidden-fields.js';

/**
 * The absolute lifetime of sessions, option `maxLifetime`: a session ends that long after it was made, at the latest, whatever
 * renews it. Its record says when it was made, in the hidden field `__madeAt`. Without the option nothing here has an effect.
 */
export class AbsoluteLifetime {
  readonly #maxMs: number;

  constructor(maxSeconds: number | undefined) {
    this.#maxMs = maxSeconds === undefined ? Number.POSITIVE_INFINITY : maxSeconds * 1000;
  }

  get isLimited(): boolean {
    return this.#maxMs !== Number.POSITIVE_INFINITY;
  }

  /** Begins the session's lifetime, unless it has begun already. Returns whether it began just now. */
  begin(session: SessionData): boolean {
    if (!this.isLimited || hiddenOf(session).__madeAt !== undefined) return false;
    hide(session, { __madeAt: Date.now() });
    return true;
  }

  /** When the session ends at the latest, ms since 1970. */
  #endOf(session: SessionData): number {
    const now = Date.now();
    // a `__madeAt` in the future, by a clock that is ahead or from somebody else who writes to Redis, counts as now
    return Math.min(hiddenOf(session).__madeAt ?? now, now) + this.#maxMs;
  }

  /** How long the session lives at most from now on, in ms; 0 or less where it is over. */
  leftMs(session: SessionData): number {
    return this.isLimited ? this.#endOf(session) - Date.now() : Number.POSITIVE_INFINITY;
  }

  isOver(session: SessionData): boolean {
    return this.leftMs(session) <= 0;
  }

  /**
   * Lets the session's cookie end with the session, where the cookie would end later. A cookie without an end gets none: the
   * browser drops it by itself.
   */
  limitCookie(session: SessionData): void {
    if (!this.isLimited) return;
    const cookie = session.cookie as SessionData['cookie'] | undefined;
    if (!cookie?.expires) return;
    const endsAt = this.#endOf(session);
    if (!(new Date(cookie.expires).getTime() > endsAt)) return; // it ends earlier, or its end is no date
    // express-session's setter of `expires` changes `originalMaxAge`: that is put back
    const { originalMaxAge } = cookie;
    Object.assign(cookie, { expires: new Date(endsAt) }, { originalMaxAge });
  }

  /** Keeps the cookie of express-session's own object within the limit, whenever express-session renews it for the browser. */
  watchCookie(session: Session & SessionData): void {
    if (!this.isLimited) return;
    const { resetMaxAge } = session;
    const value = () => {
      resetMaxAge.call(session);
      this.limitCookie(session);
      return session;
    };
    Object.defineProperty(session, 'resetMaxAge', { value, configurable: true, enumerable: false, writable: true });
    this.limitCookie(session);
  }
}
