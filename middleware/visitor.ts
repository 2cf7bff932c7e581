import type { IntelligenceContext, Owned, TrackedSession, Untracked } from './intelligence.js';
import type { OwnedSubjects, Subjects } from './subjects.js';

/** A visitor or a user outside a request. */
export interface Visitor {
  whose(): TrackedSession | Untracked | Promise<TrackedSession | Untracked>;
  owned(): Promise<Owned>;
  /** All of whom something is kept that is theirs; undefined where there is no session. */
  subjects(): Promise<OwnedSubjects | undefined>;
  /** What is kept of these subjects was erased. */
  erased(): Promise<void>;
}

/** A user, named as by the option `user`, or by identify(). Nothing has to be read for it, but once in a process by what users are named. */
export class User implements Visitor {
  readonly id: string;

  constructor(
    readonly context: IntelligenceContext,
    readonly users: Subjects,
    user: unknown,
  ) {
    this.id = users.idOf(user);
  }

  whose(): TrackedSession | Untracked | Promise<TrackedSession | Untracked> {
    return this.users.settled()?.then(() => this.#whose()) ?? this.#whose();
  }

  async owned(): Promise<Owned> {
    return { isUser: true, sessions: (await this.context.sessionsOf?.(this.id)) ?? [] };
  }

  async subjects(): Promise<OwnedSubjects | undefined> {
    await this.users.settled();
    const user = this.users.ofUser(this.id);
    return user && { user: user.subject, userName: this.id, anonymous: [] };
  }

  async erased(): Promise<void> {}

  #whose(): TrackedSession | Untracked {
    const subject = this.users.ofUser(this.id);
    return subject ? { ...subject, ttlSeconds: this.users.userTtlSeconds, returning: true } : { reason: 'redis' };
  }
}
