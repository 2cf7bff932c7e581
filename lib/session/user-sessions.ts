import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { userSubject } from '../intelligence/command/subject.js';
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

/** What a note finds out. */
export interface Noted {
  /** All sessions that the user then has, those that were noted longest ago first. */
  readonly sessions: readonly NotedSession[];
  /** All of the user's sessions were ended while this one was being stored, and so is this one. Only in a Cluster. */
  readonly tooLate: boolean;
  /** There are notes in a form of a later version: they were left alone, and count for no limit. */
  readonly isNewer: boolean;
}

/** An ending, as it stands in its list: version, time in µs, id, the ids of the sessions that were kept. */
const ENDING = /^1:(\d+):([^:]*):(.*)$/s;

/** A session that was noted this long ago has been stored by now, or never will be. */
export const STORED_BY_MS = 10_000;

/** For so long a Cluster knows that all sessions of a user were ended. */
const ENDED_MS = 60_000;
/** The clocks of two Redis nodes may differ by so much while one note is on its way. */
const DRIFT_US = 1000;

/**
 * Endings by this process, by their id: when their answer came, ms of performance.now(). A note that begins later is not ended
 * by them.
 */
const answered = new LRUCache<string, number>({ max: 10_000 });

/** The notes of which sessions are whose: a hash for each user, kept by user-sessions.lua. */
export class UserSessions {
  readonly #keyOf: (user: string) => string;

  constructor(
    readonly target: RedisTarget,
    /** stands before the user in the key of the user's sessions */
    prefix: string,
    /** stands before that key in the key of the list that says when all of them were ended */
    readonly endedPrefix: string,
    /** It names users in keys; without one a hash does. */
    itemSecret: string | undefined,
  ) {
    this.#keyOf = (user) => prefix + userSubject(user, itemSecret);
  }

  /**
   * Notes a session, by one script. With `inOrder` the script goes by EVAL, and so keeps its place among the commands of this
   * turn of the event loop, whether Redis knows the script or not: on one Redis, a session that is stored by a later command is
   * never there without its note.
   */
  async note(user: string, sid: string, ttlMs: number, inOrder: boolean): Promise<Noted> {
    const keys = this.#keys(user);
    const began = performance.now();
    const send = inOrder ? 'eval' : 'run';
    const [reply, ended, nowUs, newer] = await noteScript[send](this.target.client, [...keys, sid, ttlMs], keys.length);
    const tookUs = (performance.now() - began) * 1000;
    const sessions: NotedSession[] = [];
    for (let i = 0; i < reply.length; i += 2) sessions.push({ sid: reply[i] as string, seenAt: Number(reply[i + 1]) });
    sessions.sort((a, b) => a.seenAt - b.seenAt || (a.sid < b.sid ? -1 : 1));
    // The list of endings may have expired meanwhile, so that this session may have been ended.
    const forgotten = keys.length > 1 && tookUs > ENDED_MS * 1000;
    const endedSince = ended.some((ending) => {
      const [, at, id, kept] = ENDING.exec(ending) ?? [];
      // An ending whose answer this process had before it sent the note ran before it.
      const ranBefore = (answered.get(id as string) ?? Number.POSITIVE_INFINITY) <= began;
      return !ranBefore && Number(nowUs) - Number(at) < tookUs + DRIFT_US && !JSON.parse(kept as string).includes(sid);
    });
    const isNewer = newer === 1 || ended.some((ending) => !ENDING.test(ending));
    return { sessions, tooLate: forgotten || endedSince, isNewer };
  }

  /**
   * The sessions to destroy so that at most `max` of those that note() gave stay: the ones that were noted longest ago, so that
   * every process comes to the same ones. A GET for each session, and HDEL of those that have ended.
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

  /** Removes notes. HDEL */
  async forget(user: string, ...sids: readonly string[]): Promise<void> {
    if (sids.length > 0) await this.target.client.hdel(this.#keyOf(user), ...sids);
  }

  /** The ids that are noted. Some of the sessions may have ended, one may be about to be stored. HKEYS */
  list(user: string): Promise<string[]> {
    return this.target.client.hkeys(this.#keyOf(user));
  }

  /** The same for a user whose sessions are about to be ended, all but some: in a Cluster a script, which later notes hear of. */
  async listToEnd(user: string, kept: readonly string[]): Promise<string[]> {
    if (this.target.ordersKeys) return this.list(user);
    const id = randomUUID();
    const sids = await endScript.run(this.target.client, [...this.#keys(user), id, JSON.stringify(kept), ENDED_MS]);
    answered.set(id, performance.now());
    return sids;
  }

  /** The keys of the scripts. One Redis writes keys in the order of the commands, and needs no list of endings. */
  #keys(user: string): string[] {
    const key = this.#keyOf(user);
    return this.target.ordersKeys ? [key] : [key, besideKey(this.endedPrefix, key)];
  }
}
