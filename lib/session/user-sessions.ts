import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { besideKey, userInKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';

const noteScript = new Script<[sessions: string[], ended: string[], nowUs: string, newer: number]>(
  loadScript('lib/session/user-sessions.lua'),
);
const endScript = new Script<string[]>(loadScript('lib/session/end-user-sessions.lua'), 2);

export interface NotedSession {
  readonly sid: string;
  /** when it was noted last, ms by Redis' clock */
  readonly seen: number;
}

/** What a note learned. */
export interface Noted {
  /** all that the user then has, those seen longest ago first */
  readonly sessions: readonly NotedSession[];
  /** All of the user's sessions were ended while this one was being stored (in a Cluster only): this one too. */
  readonly tooLate: boolean;
  /** Something stands there in a form of another version: it was left alone, and counts for no limit. */
  readonly isNewer: boolean;
}

/** How an ending stands in its list: version, time in µs, id, the kept session ids. */
const ENDING = /^1:(\d+):([^:]*):(.*)$/s;

/** A session that was noted this long ago has been stored by now, or never will be. */
export const STORED_BY_MS = 10_000;

/** In a Cluster it is known for so long when a user's sessions were all ended. */
const ENDED_MS = 60_000;
/** Two clocks do not run alike. */
const DRIFT_US = 1000;

/** Endings by this process, by id: when their answer came, ms of performance.now(). What begins after it is not ended by it. */
const answered = new LRUCache<string, number>({ max: 10_000 });

/** Which sessions are whose: a hash a user, kept by user-sessions.lua. */
export class UserSessions {
  constructor(
    readonly target: RedisTarget,
    /** stands before the user in the key */
    readonly prefix: string,
    /** stands before the key that says when all were ended */
    readonly endedPrefix: string,
  ) {}

  /**
   * One script. `inOrder`, by EVAL: it keeps its place among the commands of its turn, whether Redis knows the script or not.
   * On one Redis a session that is stored by a later command is then never there without its note.
   */
  async note(user: string, sid: string, ttlMs: number, inOrder: boolean): Promise<Noted> {
    const keys = this.#keys(user);
    const began = performance.now();
    const how = inOrder ? 'eval' : 'run';
    const [reply, ended, nowUs, newer] = await noteScript[how](this.target.client, [...keys, sid, ttlMs], keys.length);
    const tookUs = (performance.now() - began) * 1000;
    const sessions: NotedSession[] = [];
    for (let i = 0; i < reply.length; i += 2) sessions.push({ sid: reply[i] as string, seen: Number(reply[i + 1]) });
    sessions.sort((a, b) => a.seen - b.seen || (a.sid < b.sid ? -1 : 1));
    // what ended meanwhile is not known any longer
    const forgotten = keys.length > 1 && tookUs > ENDED_MS * 1000;
    const endedSince = ended.some((ending) => {
      const [, at, id, kept] = ENDING.exec(ending) ?? [];
      // it ran before this note was sent
      const before = (answered.get(id as string) ?? Number.POSITIVE_INFINITY) <= began;
      return !before && Number(nowUs) - Number(at) < tookUs + DRIFT_US && !JSON.parse(kept as string).includes(sid);
    });
    const isNewer = newer === 1 || ended.some((ending) => !ENDING.test(ending));
    return { sessions, tooLate: forgotten || endedSince, isNewer };
  }

  /**
   * Of the sessions that note() gave, those to destroy so that at most so many stay: the ones that were seen longest ago.
   * Every process comes to the same ones. A GET for each, and HDEL of those that have ended.
   */
  async over(
    user: string,
    noted: readonly NotedSession[],
    most: number,
    ownerOf: (sid: string) => Promise<string | null | undefined>,
  ): Promise<string[]> {
    if (noted.length <= most) return [];
    const owners = await Promise.all(noted.map(({ sid }) => ownerOf(sid)));
    const latest = noted.at(-1)?.seen ?? 0;
    const dead = noted.filter(({ seen }, i) => owners[i] === undefined && seen < latest - STORED_BY_MS);
    await this.forget(user, ...dead.map(({ sid }) => sid));
    const alive = noted.filter((_, i) => owners[i] === user);
    return alive.slice(0, Math.max(0, alive.length - most)).map(({ sid }) => sid);
  }

  /** HDEL */
  async forget(user: string, ...sids: readonly string[]): Promise<void> {
    if (sids.length > 0) await this.target.client.hdel(this.prefix + userInKey(user), ...sids);
  }

  /** HKEYS: the ids; some may have ended, one may be about to be stored. */
  of(user: string): Promise<string[]> {
    return this.target.client.hkeys(this.prefix + userInKey(user));
  }

  /** The same, of a user whose sessions are about to be ended, all but some. In a Cluster a script. */
  async ending(user: string, kept: readonly string[]): Promise<string[]> {
    if (this.target.ordersKeys) return this.of(user);
    const id = randomUUID();
    const sids = await endScript.run(this.target.client, [...this.#keys(user), id, JSON.stringify(kept), ENDED_MS]);
    answered.set(id, performance.now());
    return sids;
  }

  /** Where keys are written in the order of the commands, nothing is stored before it is noted. */
  #keys(user: string): string[] {
    const key = this.prefix + userInKey(user);
    return this.target.ordersKeys ? [key] : [key, besideKey(this.endedPrefix, key)];
  }
}
