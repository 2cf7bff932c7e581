import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { userSubject } from '../intelligence/command/subject.js';
import { type ItemSecretOption, itemSecretsOf } from '../options/item-secrets.js';
import { besideKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';

const noteScript = new Script<[sessions: string[], ended: string[], nowUs: string, newer: number]>(
  loadScript('lib/session/user-sessions.lua'),
);
const endScript = new Script<string[]>(loadScript('lib/session/end-user-sessions.lua'), 2);

export interface NotedSession {
  readonly sid: string;
  /** When the session was noted last, ms since 1970 by Redis' clock. */
  readonly seenAt: number;
}

/** What the script that notes a session answers. */
export interface Noted {
  /** All sessions of the user, with this one, in the order of their last notes. */
  readonly sessions: readonly NotedSession[];
  /** All of the user's sessions were ended while this one was being stored, so this one has to end, too. Only in a Cluster. */
  readonly tooLate: boolean;
  /** Some notes are in the form of a later version of this package: they are left as they are, and not counted for the limit. */
  readonly isNewer: boolean;
}

/** One ending of all sessions of a user, as the list of endings has it: version, time in µs, id, the ids of the sessions that were kept. */
const ENDING = /^1:(\d+):([^:]*):(.*)$/s;

/** A note, as user-sessions.lua writes it: version, last seen, end. */
const NOTE = /^1:(\d+):\d+$/;

/** How long after its note a session may still be stored: if it is not there by then, it never will be. */
export const STORED_BY_MS = 10_000;

/** How long the list of endings of a user is kept in a Cluster. */
const ENDED_MS = 60_000;
/** By how much the clocks of two Redis nodes may move apart while one note is on its way. */
const DRIFT_US = 1000;

/**
 * When Redis answered each ending that this process has asked for, in ms of performance.now(), by the ending's id. An ending does
 * not apply to a note that was begun after its answer.
 */
const endingAnsweredAt = new LRUCache<string, number>({ max: 10_000 });

/** The notes that say which sessions a user has: a hash for each user, which user-sessions.lua writes. */
export class UserSessions {
  /** The keys of a user's notes: one under each secret, the first one's first. */
  readonly #keysOf: (user: string) => string[];

  constructor(
    readonly target: RedisTarget,
    /** stands before the user in the key of the user's sessions */
    prefix: string,
    /** stands before that key in the key of the list that says when all of them were ended */
    readonly endedPrefix: string,
    /** The secrets with which a user's name in a key is computed; without one the name is a plain hash. Notes are written under the first. */
    itemSecret: ItemSecretOption | undefined,
  ) {
    const secrets = itemSecretsOf(itemSecret);
    this.#keysOf = (user) => secrets.map((secret) => prefix + userSubject(user, secret));
  }

  /**
   * Notes a session, by one script. With `inOrder` the script goes by EVAL, and so keeps its place among the commands of this
   * turn of the event loop, whether Redis knows the script or not: on one Redis, a session that is stored by a later command is
   * never there without its note. An HGETALL beside it for each older secret.
   */
  async note(user: string, sid: string, ttlMs: number, inOrder: boolean): Promise<Noted> {
    const [first = '', ...older] = this.#keysOf(user);
    const keys = this.#withEnded(first);
    const began = performance.now();
    const send = inOrder ? 'eval' : 'run';
    const noted = noteScript[send](this.target.client, [...keys, sid, ttlMs], keys.length);
    const [[reply, ended, nowUs, newer], ...notes] = await Promise.all([
      noted,
      ...older.map((key) => this.target.client.hgetall(key)),
    ]);
    const tookUs = (performance.now() - began) * 1000;
    const sessions: NotedSession[] = [];
    for (let i = 0; i < reply.length; i += 2) sessions.push({ sid: reply[i] as string, seenAt: Number(reply[i + 1]) });
    const known = new Set(sessions.map((one) => one.sid));
    for (const [id, note] of notes.flatMap(Object.entries<string>)) {
      const seenAt = NOTE.exec(note)?.[1];
      if (seenAt === undefined || known.has(id)) continue;
      known.add(id);
      sessions.push({ sid: id, seenAt: Number(seenAt) });
    }
    sessions.sort((a, b) => a.seenAt - b.seenAt || (a.sid < b.sid ? -1 : 1));
    // The list of endings may have expired meanwhile, so that this session may have been ended.
    const forgotten = keys.length > 1 && tookUs > ENDED_MS * 1000;
    const endedSince = ended.some((ending) => {
      const [, at, id, kept] = ENDING.exec(ending) ?? [];
      // If this process had the ending's answer before it sent the note, the ending ran before the note.
      const ranBefore = (endingAnsweredAt.get(id as string) ?? Number.POSITIVE_INFINITY) <= began;
      return !ranBefore && Number(nowUs) - Number(at) < tookUs + DRIFT_US && !JSON.parse(kept as string).includes(sid);
    });
    const isNewer = newer === 1 || ended.some((ending) => !ENDING.test(ending));
    return { sessions, tooLate: forgotten || endedSince, isNewer };
  }

  /**
   * The sessions to destroy so that at most `max` of the sessions that note() returned stay: those that were noted longest ago,
   * so that every process chooses the same ones. `ownerOf` gives a session's user: undefined where the session is not there,
   * null where it is nobody's. A GET for each session, and an HDEL of the notes of sessions that have ended.
   */
  async beyond(
    user: string,
    noted: readonly NotedSession[],
    max: number,
    ownerOf: (sid: string) => Promise<string | null | undefined>,
  ): Promise<string[]> {
    if (noted.length <= max) return [];
    const owners = await Promise.all(noted.map(({ sid }) => ownerOf(sid)));
    const latest = noted.at(-1)?.seenAt ?? 0;
    const ended = noted.filter(({ seenAt }, i) => owners[i] === undefined && seenAt < latest - STORED_BY_MS);
    await this.forget(user, ...ended.map(({ sid }) => sid));
    const alive = noted.filter((_, i) => owners[i] === user);
    return alive.slice(0, Math.max(0, alive.length - max)).map(({ sid }) => sid);
  }

  /** Removes the notes of these sessions. HDEL for each secret */
  async forget(user: string, ...sids: readonly string[]): Promise<void> {
    if (sids.length === 0) return;
    await Promise.all(this.#keysOf(user).map((key) => this.target.client.hdel(key, ...sids)));
  }

  /** The ids of the user's noted sessions. Some of the sessions may have ended, others may not be stored yet. HKEYS for each secret */
  async list(user: string): Promise<string[]> {
    return unique(await Promise.all(this.#keysOf(user).map((key) => this.target.client.hkeys(key))));
  }

  /**
   * The same ids, where all sessions of the user but those in `kept` are about to be ended. In a Cluster a script also adds to the
   * list of endings, so that a session that is noted later learns of it.
   */
  async listToEnd(user: string, kept: readonly string[]): Promise<string[]> {
    if (this.target.ordersKeys) return this.list(user);
    const id = randomUUID();
    // A process that has the secrets in another order writes its notes under another key, so the ending stands beside each key.
    const args = [id, JSON.stringify(kept), ENDED_MS];
    const keys = this.#keysOf(user).map((key) => this.#withEnded(key));
    const sids = await Promise.all(keys.map((pair) => endScript.run(this.target.client, [...pair, ...args])));
    endingAnsweredAt.set(id, performance.now());
    return unique(sids);
  }

  /** The keys that the scripts get. One Redis writes keys in the order of the commands, and needs no list of endings. */
  #withEnded(key: string): string[] {
    return this.target.ordersKeys ? [key] : [key, besideKey(this.endedPrefix, key)];
  }
}

const unique = (lists: readonly (readonly string[])[]): string[] => [...new Set(lists.flat())];
