import type { SessionData } from 'express-session';
import { hiddenOf, hide } from './hidden-fields.js';
import { type Changes, differAt, differences, mergeInto } from './merge-session.js';
import type { SessionCodec } from './session-codec.js';

/** Parses each session text once. Callers share the sessions, so nobody may change one. */
export class ParsedTexts {
  readonly #sessions = new Map<string, Promise<SessionData>>();

  constructor(readonly codec: SessionCodec) {}

  read(text: string): Promise<SessionData> {
    let session = this.#sessions.get(text);
    if (!session) {
      session = this.codec.read(text);
      this.#sessions.set(text, session);
    }
    return session;
  }
}

/** The session after the changes of one more request were merged into it. */
export interface Merged {
  readonly session: SessionData;
  /** the top-level keys that the changes wrote or deleted */
  readonly written: readonly string[];
  /** A text that has the session's contents, where the merge has made one. */
  readonly contentsText?: string;
}

/** The session that stands in Redis, with the changes that were merged into it so far. */
export class MergeTarget {
  /** what stood in Redis, without the changes */
  readonly #before: SessionData;
  /** By session text: the keys in which its session differs from what stood in Redis. */
  readonly #differences = new Map<string, readonly string[]>();
  /** the keys that the changes wrote or deleted */
  readonly #written = new Set<string>();
  #session: SessionData;
  #contentsText: string;

  constructor(
    readonly text: string,
    session: SessionData,
    readonly parsed: ParsedTexts,
  ) {
    this.#before = this.#session = session;
    this.#contentsText = text;
  }

  get session(): SessionData {
    return this.#session;
  }

  /** A text that has the session's contents; its cookie may be another one. With option `merge` only. */
  get contentsText(): string {
    return this.#contentsText;
  }

  /** The session with these changes put over it, key by key. */
  merged(changes: Changes): Merged {
    const session = { ...this.#session };
    hide(session, hiddenOf(this.#session));
    return { session, written: mergeInto(session, changes) };
  }

  /** The next changes are merged into this session. */
  take({ session, written, contentsText }: Merged): void {
    this.#session = session;
    for (const key of written) this.#written.add(key);
    if (contentsText !== undefined) this.#contentsText = contentsText;
  }

  /** Does the session differ from each of these texts in more than the cookie? */
  async differsFromAll(texts: readonly string[]): Promise<boolean> {
    for (const text of texts) if (!(await this.#differsFrom(text))) return false;
    return true;
  }

  /** Compares only keys in which the text differs from what stood in Redis, and keys that were written since. */
  async #differsFrom(text: string): Promise<boolean> {
    if (text === this.text && this.#written.size === 0) return false;
    const other = await this.parsed.read(text);
    let differing = this.#differences.get(text);
    if (!differing) {
      differing = text === this.text ? [] : differences(other, this.#before);
      this.#differences.set(text, differing);
    }
    if (differing.some((key) => !this.#written.has(key))) return true;
    for (const key of this.#written) if (differAt(other, this.session, key)) return true;
    return false;
  }
}
