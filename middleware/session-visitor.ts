import type { SessionData, Store } from 'express-session';
import { applicationFault } from '../lib/errors/errors.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import type { RequestWithSession } from '../lib/session/session-subjects.js';
import type { IntelligenceContext, OwnedSessions, TrackedSession, Untracked } from './intelligence.js';
import type { OwnedSubjects } from './subjects.js';
import type { TrackSession } from './tracked-session.js';
import type { Visitor } from './visitor.js';

/** How `sessions.of()` gets at sessions, and finds what is known of them. */
export interface SessionSource {
  readonly store: Store;
  readonly track: TrackSession;
  /** Makes close() wait for a session that is being read, so that what was sent for it goes out. */
  readonly wait: (reading: Promise<unknown>) => void;
}

/** A session that was read. */
interface Found {
  /** A request that has nothing but the session. */
  readonly req: RequestWithSession;
  readonly whose: TrackedSession;
}

/** How often a session is read and saved, where other requests save it in between and `saveMode` is 'reject'. */
const MAX_TRIES = 4;
const NO_SESSION: Untracked = { reason: 'no-session' };

/**
 * The visitor who has a session. It is read once, at the first call; one that was not found is looked for again at the next
 * call.
 */
export class SessionVisitor implements Visitor {
  #found: Promise<Found | Untracked> | undefined;

  constructor(
    readonly context: IntelligenceContext,
    readonly source: SessionSource,
    /** Undefined: a Cookie header named no session. */
    readonly sid: string | undefined,
  ) {}

  async whose(): Promise<TrackedSession | Untracked> {
    const found = await this.#find();
    return 'whose' in found ? found.whose : found;
  }

  async ownedSessions(): Promise<OwnedSessions> {
    const found = await this.#find();
    if (!('req' in found)) return { isUser: false, sessions: [] };
    const { subjects, sessionsOf } = this.context;
    const isUser = subjects !== undefined && !found.whose.isAnonymous;
    const name = isUser ? subjects.userName(found.req) : undefined;
    return { isUser, sessions: name !== undefined && sessionsOf ? await sessionsOf(name) : [found.req.session] };
  }

  async ownedSubjects(): Promise<OwnedSubjects | undefined> {
    const found = await this.#find();
    if (!('req' in found)) return undefined;
    const { subjects } = this.context;
    if (subjects) return subjects.ownedBy(found.req);
    return { user: undefined, userName: undefined, anonymous: [found.whose.subject] };
  }

  /** The session goes on with another subject, as after forget() on a request. */
  async erased(): Promise<void> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const found = await this.#find();
      this.#found = undefined;
      if (!('req' in found)) return;
      this.context.subjects?.erased(found.req);
      if (await this.#isSaved(found.req)) return;
    }
  }

  #find(): Promise<Found | Untracked> {
    if (this.#found) return this.#found;
    const reading = this.#read();
    this.#found = reading;
    this.source.wait(reading);
    void reading.then((found) => {
      if ('reason' in found && this.#found === reading) this.#found = undefined;
    });
    return reading;
  }

  /** Never rejects: what went wrong is reported, and no session is found then. */
  async #read(tries = 1): Promise<Found | Untracked> {
    if (this.sid === undefined) return NO_SESSION;
    const { store, track } = this.source;
    try {
      await this.context.subjects?.settled();
      const data = await dataOf(store, this.sid);
      if (!data) return NO_SESSION;
      const request = { sessionID: this.sid, sessionStore: store, headers: {} };
      const req = request as typeof request & RequestWithSession;
      store.createSession(req as never, data); // sets req.session
      const whose = track(req, true);
      if (!(await this.#isSaved(req)) && tries < MAX_TRIES) return this.#read(tries + 1);
      if (!whose && this.context.subjects?.lacksSubject(req)) return { reason: 'redis' };
      return whose ? { req, whose } : NO_SESSION;
    } catch (cause) {
      const error = applicationFault(cause);
      // The package's own store reports it itself.
      if (!(store instanceof RedisSessionStore)) this.context.serving.emit('fault', error);
      return { ...NO_SESSION, error };
    }
  }

  /**
   * Saves the session where its hidden fields have changed, which say whose its data are. False: it was refused as a conflict, so
   * that the session has to be read again. The store tells any other fault.
   */
  async #isSaved({ session }: RequestWithSession): Promise<boolean> {
    if (!this.context.subjects?.saving(session)) return true;
    const saved = (this.source.store as RedisSessionStore).set(session.id, session);
    return saved.then(
      () => true,
      ({ code }: { code?: unknown }) => code !== 'ERR_INTELLIGENT_SESSION_CONFLICT',
    );
  }
}

/** A store's get() as a promise. Stores of files give ENOENT for a session that is not there, as express-session knows, too. */
const dataOf = (store: Store, sid: string): Promise<SessionData | null | undefined> =>
  new Promise((resolve, reject) => {
    store.get(sid, (error, session) => {
      if (error && error.code !== 'ENOENT') reject(error);
      else resolve(session);
    });
  });
