import type { Session, SessionData } from 'express-session';
import { hiddenOf, hide } from './hidden-fields.js';

/**
 * The absolute lifetime of sessions, option `maxLifetime`: a session ends at latest so long after it was made, whatever renews
 * it. When it was made stands in its record, as a hidden field. Without the option nothing here has an effect.
 */
export class AbsoluteLifetime {
  readonly #ms: number;

  constructor(maxSeconds: number | undefined) {
    this.#ms = maxSeconds === undefined ? Number.POSITIVE_INFINITY : maxSeconds * 1000;
  }

  get isLimited(): boolean {
    return this.#ms !== Number.POSITIVE_INFINITY;
  }

  /** From now on the session's time counts, if it did not before: was it so? */
  begin(session: SessionData): boolean {
    if (!this.isLimited || hiddenOf(session).__madeAt !== undefined) return false;
    hide(session, { __madeAt: Date.now() });
    return true;
  }

  /** When the session ends at the latest, ms since 1970. */
  #endOf(session: SessionData): number {
    const now = Date.now();
    // no clock that is ahead, and nobody who writes to Redis, makes it more than a whole lifetime
    return Math.min(hiddenOf(session).__madeAt ?? now, now) + this.#ms;
  }

  /** How long the session lives at most from now on, in ms; 0 or less where it is over. */
  leftMs(session: SessionData): number {
    return this.isLimited ? this.#endOf(session) - Date.now() : Number.POSITIVE_INFINITY;
  }

  isOver(session: SessionData): boolean {
    return this.leftMs(session) <= 0;
  }

  /**
   * Lets the session's cookie end with the session, where it would end later. One without an end keeps none: it goes with the
   * browser's own session. What `maxAge` was meant to be is kept for the next renewal.
   */
  limitCookie(session: SessionData): void {
    if (!this.isLimited) return;
    const cookie = session.cookie as SessionData['cookie'] | undefined;
    if (!cookie?.expires) return;
    const endsAt = this.#endOf(session);
    if (!(new Date(cookie.expires).getTime() > endsAt)) return;
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
