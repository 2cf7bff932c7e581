import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import { hiddenOf, hide } from './hidden-fields.js';
import { type Changes, differences, mergeRest } from './merge-session.js';
import type { Merged, MergeTarget } from './merge-target.js';
import type { MergeSessions, SessionContents } from './merge-growing.js';
import { hasSaveId, mayHaveForgotten } from './save-ids.js';
import type { SessionCodec } from './session-codec.js';
import type { Snapshot } from './snapshot.js';

/** A request whose changes are merged; see MergeRequest of coalesced-merges.ts. */
interface Request {
  readonly saved: Snapshot;
  readonly snapshot: Snapshot | undefined;
  readonly unanswered: readonly Snapshot[];
  readonly changes: Changes;
}

/** Merges the contents of sessions by option `merge`. Cookies and hidden fields are merged as without that option. */
export class ApplicationMerge {
  constructor(
    readonly codec: SessionCodec,
    readonly merge: MergeSessions,
  ) {}

  /** The session that stands in Redis with what was merged into it so far, and with this request's changes. */
  async merged(target: MergeTarget, request: Request): Promise<Merged> {
    const base = await this.#baseOf(request, target);
    // Each text is parsed anew, since option `merge` may change the objects that it gets.
    const texts = [base, request.saved.loadedText, target.contentsText];
    const versions = await Promise.all(texts.map((text) => this.#contents(text)));
    const session = {
      cookie: target.session.cookie,
      ...this.#merge(...(versions as [SessionData, SessionData, SessionData])),
    };
    hide(session, hiddenOf(target.session));
    mergeRest(session, target.session, request.changes);
    // The session as it will be read: a result that is no JSON throws here, so only this request's save fails.
    const text = this.codec.stringify(session);
    const read = await this.codec.read(text);
    return { session: read, written: differences(target.session, read), contentsText: text };
  }

  /** Option `merge` is asked only where both this request and others have changed the session. */
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
   * The text of the session against which this request's changes are told: the one that the request read or saved last. Where a
   * save of its own got no answer, and Redis has it all the same, that save's text: what it added must not be added again.
   */
  async #baseOf({ saved, snapshot, unanswered }: Request, target: MergeTarget): Promise<string | undefined> {
    const ids = hiddenOf(target.session).__saves;
    const own = [...unanswered, saved].findLast(({ saveIds }) => hasSaveId(ids, saveIds));
    if (own) return own.loadedText;
    const [first] = unanswered;
    if (first) {
      const before = snapshot && hiddenOf(await target.parsed.read(snapshot.storedText)).__saves;
      if (mayHaveForgotten(ids, before, Date.now() - first.takenAt)) throw unknownOutcomeError();
    }
    return snapshot?.loadedText;
  }
}

const unknownOutcomeError = (): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_CONFLICT',
    'An earlier save of this request got no answer, and the session was changed so often, or so long, since that nobody knows ' +
      'whether it was carried out',
  );
