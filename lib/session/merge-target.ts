import type { SessionData } from 'express-session';
import { type Changes, differAt, differences, mergeInto } from './merge-session.js';
import type { SessionCodec } from './session-codec.js';

/** Sessions by their texts, each parsed once. They are shared, and so for reading only. */
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

/** The session that stands in Redis, with the changes that were merged into it so far. */
export class MergeTarget {
  /** what stood in Redis, without the changes */
  readonly #before: SessionData;
  /** Text to the keys in which the session of this text differs from what stood in Redis. */
  readonly #differences = new Map<string, readonly string[]>();
  /** the keys that the changes wrote */
  readonly #written = new Set<string>();

  constructor(
    readonly text: string,
    readonly session: SessionData,
    readonly parsed: ParsedTexts,
  ) {
    this.#before = { ...session };
  }

  merge(changes: Changes): void {
    for (const key of mergeInto(this.session, changes)) this.#written.add(key);
  }

  /** Does the session differ from each of these texts in more than the cookie? */
  async differsFromAll(texts: readonly string[]): Promise<boolean> {
    for (const text of texts) if (!(await this.#differsFrom(text))) return false;
    return true;
  }

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
