import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import { hiddenOf, hide } from './hidden-fields.js';
import { type Changes, differences, mergeRest } from './merge-session.js';
import type { Merged, MergeTarget } from './merge-target.js';
import type { MergeSessions, SessionContents } from './merge-growing.js';
import { hasSaveId, mayHaveForgotten } from './save-ids.js';
import type { SessionCodec } from './session-codec.js';
import type { Snapshot } from './snapshot.js';

/** A request whose changes are merged. */
interface Request {
  readonly saved: Snapshot;
  readonly snapshot: Snapshot | undefined;
  readonly unanswered: readonly Snapshot[];
  readonly changes: Changes;
}

/** Merges the contents of sessions by option `merge`. Cookies and hidden fields are merged as they are without it. */
export class ApplicationMerge {
  constructor(
    readonly codec: SessionCodec,
    readonly merge: MergeSessions,
  ) {}

  /** The session that stands in Redis with what was merged into it so far, and with this request's changes. */
  async merged(target: MergeTarget, request: Request): Promise<Merged> {
    const base = await this.#baseOf(request, target);
    // Each is read anew: the application may change what it gets.
    const texts = [base, request.saved.loadedText, target.contentsText];
    const versions = await Promise.all(texts.map((text) => this.#contents(text)));
    const session = {
      cookie: target.session.cookie,
      ...this.#merge(...(versions as [SessionData, SessionData, SessionData])),
    };
    hide(session, hiddenOf(target.session));
    mergeRest(session, target.session, request.changes);
    // As it will be read: what is no JSON fails this request's save, and no other's.
    const text = this.codec.stringify(session);
    const read = await this.codec.read(text);
    return { session: read, written: differences(target.session, read), contentsText: text };
  }

  /** Where only one of the two has changed the session, there is nothing to decide. */
  #merge(base: SessionData, mine: SessionData, theirs: SessionData): SessionContents {
    if (differences(base, theirs).length === 0) return mine;
    if (differences(base, mine).length === 0) return theirs;
    const { cookie: _, ...contents } = this.merge(base, mine, theirs) as SessionContents & { cookie?: unknown };
    return contents as SessionContents;
  }

  async #contents(text: string | undefined): Promise<SessionData> {
    const session = text === undefined ? ({} as SessionData) : await this.codec.read(text);
    delete (session as { cookie?: unknown }).cookie;
    return session;
  }

  /**
   * The text of the session from which this request's changes count: as it was read or saved last, or as an own save had it that
   * got no answer and is part of what stands in Redis.
   */
  async #baseOf({ saved, snapshot, unanswered }: Request, target: MergeTarget): Promise<string | undefined> {
    const ids = hiddenOf(target.session).__saves;
    const own = [...unanswered, saved].findLast(({ saveIds }) => hasSaveId(ids, saveIds));
    if (own) return own.loadedText;
    const [first] = unanswered;
    if (first) {
      const before = snapshot && hiddenOf(await target.parsed.read(snapshot.storedText)).__saves;
      if (mayHaveForgotten(ids, before, Date.now() - first.takenAt)) throw unknownError();
    }
    return snapshot?.loadedText;
  }
}

const unknownError = (): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_CONFLICT',
    'An earlier save of this request got no answer, and the session was changed so often, or so long, since that nobody knows ' +
      'whether it was carried out',
  );
