import type { IntelligenceContext, OwnedSessions, TrackedSession, Untracked } from './intelligence.js';
import type { OwnedSubjects, Subjects } from './subjects.js';

/** A visitor (session-visitor.ts) or a user, outside a request. */
export interface Visitor {
  whose(): TrackedSession | Untracked | Promise<TrackedSession | Untracked>;
  ownedSessions(): Promise<OwnedSessions>;
  /** All subjects of their data; undefined where there is no session, or while the user has no subject. */
  ownedSubjects(): Promise<OwnedSubjects | undefined>;
  /** To be called when the data of these subjects were erased. */
  erased(): Promise<void>;
}

/**
 * A user, by the id that the option `user` or identify() gives. Nothing is read, but once in a process the key of users'
 * subjects.
 */
export class User implements Visitor {
  readonly id: string;

  constructor(
    readonly context: IntelligenceContext,
    readonly subjects: Subjects,
    user: unknown,
  ) {
    this.id = subjects.idOf(user);
  }

  whose(): TrackedSession | Untracked | Promise<TrackedSession | Untracked> {
    return this.subjects.settled()?.then(() => this.#whose()) ?? this.#whose();
  }

  async ownedSessions(): Promise<OwnedSessions> {
    return { isUser: true, sessions: (await this.context.sessionsOf?.(this.id)) ?? [] };
  }

  async ownedSubjects(): Promise<OwnedSubjects | undefined> {
    await this.subjects.settled();
    const user = this.subjects.ofUser(this.id);
    return user && { user: user.subject, userName: this.id, anonymous: [] };
  }

  async erased(): Promise<void> {}

  #whose(): TrackedSession | Untracked {
    const subject = this.subjects.ofUser(this.id);
    return subject ? { ...subject, ttlSeconds: this.subjects.userTtlSeconds, returning: true } : { reason: 'redis' };
  }
}
