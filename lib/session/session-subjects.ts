import type { Session, SessionData } from 'express-session';
import { callApplication } from './application-functions.js';
import { hiddenOf } from './hidden-fields.js';

export interface RequestWithSession {
  readonly session: Session & Partial<SessionData>;
  readonly sessionID?: string;
}

/**
 * What the middleware, which knows to whom the data of a request's session belong, is asked and told. It calls the application's
 * function `user`, which may throw.
 */
export interface SubjectHooks {
  /** The session is about to be stored. Brings its hidden fields up to date: were they changed, so that it has to be saved? */
  saving(session: SessionData): boolean;
  /** The session is about to be replaced: gives its anonymous subject, if the next session goes on with that subject. */
  keptBy(req: RequestWithSession): string | undefined;
  /** The request has its next session; `kept` is what keptBy() gave. */
  replaced(req: RequestWithSession, kept: string | undefined): void;
  /** The subject, a user's too, of whoever has a stored session. */
  visitorOf(sid: string, session: SessionData): string;
}

/**
 * The subject of a session, which says to whom what is known belongs: the id of an anonymous visitor's first session stands in the
 * hidden field `__subject` of those that follow. So what is known survives a new session id, and is erased with the last session.
 */
export class SessionSubjects {
  #hooks: SubjectHooks | undefined;
  /** The ids of sessions that are being replaced, and whose subject the next session keeps. */
  readonly #kept = new Set<string>();

  use(hooks: SubjectHooks): void {
    this.#hooks = hooks;
  }

  get inUse(): boolean {
    return this.#hooks !== undefined;
  }

  saving(session: SessionData): boolean {
    return callApplication(() => this.#hooks?.saving(session)) ?? false;
  }

  /** To be called before a session is replaced. Call what it gives when the next session is there, or with the error. */
  replacing(req: RequestWithSession): (error?: unknown) => void {
    if (!this.#hooks) return () => {};
    const { sessionID = '' } = req;
    const kept = this.#hooks.keptBy(req);
    if (kept !== undefined) this.#kept.add(sessionID);
    return (error) => {
      this.#kept.delete(sessionID);
      if (!error) this.#hooks?.replaced(req, kept);
    };
  }

  /** The subject, a user's too, of whoever had a session that was removed; undefined where the session was not there. */
  visitorOf(sid: string, session: SessionData | null): string | undefined {
    if (!session) return undefined;
    return callApplication(() => this.#hooks?.visitorOf(sid, session)) ?? (hiddenOf(session).__subject || sid);
  }

  /**
   * The subject whose data end with a session that was removed. None where the session was replaced, or was a user's; and none
   * where the session was not there: another request may have replaced it.
   */
  endedWith(sid: string, session: SessionData | null, user: string | undefined): string | undefined {
    if (!this.#hooks) return (session && hiddenOf(session).__subject) || sid;
    if (!session || user !== undefined || this.#kept.has(sid)) return undefined;
    const { __user, __subject = sid } = hiddenOf(session);
    return __user !== undefined || __subject === '' ? undefined : __subject;
  }
}
