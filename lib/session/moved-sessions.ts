import type { SessionData } from 'express-session';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { Batcher } from './batcher.js';
import type { SessionCodec } from './session-codec.js';
import type { SessionKeys } from './session-keys.js';

/**
 * The value of an old id's tombstone is this and the session's new id; 1 is the version of that form. An empty tombstone says
 * that the session has ended.
 */
const MOVED_TO = '1:';

const moveScript = new Script<string | number>(loadScript('lib/session/move.lua'), 2);
const endOldIdScript = new Script<number>(loadScript('lib/session/end-old-id.lua'));

/** What moved sessions need of the records (session-records.ts). */
interface Records {
  /** The session in Redis: undefined where there is none, null where it can't be read, or is over. */
  find(sid: string): Promise<SessionData | null | undefined>;
  /** Makes a write of a session's value; the near cache has the session neither before nor after it. */
  write<T>(sid: string, command: (key: string) => Promise<T>): Promise<T>;
}

/** Sessions that stand under another id by now, to which the tombstone of their old id leads. */
export class MovedSessions {
  /** May a session have gone to another id? Set with option `rotateEvery`. */
  followsMoves = false;

  constructor(
    readonly batcher: Batcher,
    readonly keys: SessionKeys,
    readonly codec: SessionCodec,
    readonly records: Records,
  ) {}

  /** The session that has gone from this id to another one, as find() gives it; undefined where none has. */
  async findMoved(sid: string): Promise<SessionData | null | undefined> {
    const next = await this.nextOf(sid);
    return next === undefined ? undefined : this.records.find(next);
  }

  /** The id to which a session has gone, by the tombstone of this one. GET */
  async nextOf(sid: string): Promise<string | undefined> {
    if (!this.followsMoves) return undefined;
    const value = await this.batcher.get(this.keys.tombstoneOf(sid));
    return value ? this.nextIn(sid, value) : undefined;
  }

  /** The id that a tombstone's value names. It is encrypted as sessions are: who only writes Redis leads no id to a session. */
  nextIn(sid: string, value: string): string | undefined {
    const text = this.codec.decrypt(sid, value);
    return text?.startsWith(MOVED_TO) ? text.slice(MOVED_TO.length) : undefined;
  }

  /**
   * Removes a session that stands under its next id by now, if its value still equals `expected`. The tombstone of the old id then leads
   * to the next one, for `leadsMs`. Gives the id to which the session has gone, by this call or another one; undefined where it was
   * saved meanwhile, or is gone.
   */
  async move(sid: string, expected: string, next: string, leadsMs: number): Promise<string | undefined> {
    const tombstone = this.codec.encrypt(sid, `${MOVED_TO}${next}`);
    const reply = await this.records.write(sid, (key) =>
      moveScript.run(this.batcher.flush(), [key, this.keys.tombstoneOf(sid), expected, tombstone, leadsMs]),
    );
    return typeof reply === 'string' ? this.nextIn(sid, reply) : undefined;
  }

  /** From now on, the tombstone of an old id leads to the next one for at most `leadsMs`. */
  endOldId(sid: string, leadsMs: number): Promise<number> {
    return endOldIdScript.run(this.batcher.flush(), [this.keys.tombstoneOf(sid), leadsMs]);
  }
}
