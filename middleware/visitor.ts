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

/** A user, named as by the option `user`, or by identify(). Nothing has to be read for it. */
export class User implements Visitor {
  readonly #whose: TrackedSession;

  constructor(
    readonly context: IntelligenceContext,
    subjects: Subjects,
    readonly id: unknown,
  ) {
    this.#whose = { ...subjects.ofUser(id), ttlSeconds: subjects.userTtlSeconds, returning: true };
  }

  whose(): TrackedSession {
    return this.#whose;
  }

  async owned(): Promise<Owned> {
    return { isUser: true, sessions: (await this.context.sessionsOf?.(String(this.id))) ?? [] };
  }

  async subjects(): Promise<OwnedSubjects> {
    return (this.context.subjects as Subjects).ownedByUser(this.id);
  }

  async erased(): Promise<void> {}
}
