import { LRUCache } from 'lru-cache';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import type { ListChanges } from './list-changes.js';
import type { RecipientLists } from './recipient-list.js';
import { parseList, type StoredList } from './stored-list.js';

const listScript = new Script<string[]>(loadScript('lib/notifications/list.lua'));

/** The most lists that a process keeps, and the most characters that they have together. */
const MAX_LISTS = 1_000;
const MAX_CHARACTERS = 16_777_216;
/** A list is read again after so long, since a message about a change can get lost between a Cluster's nodes. */
const MAX_AGE_MS = 60_000;

interface KeptList {
  /** The list; undefined where it was not read yet, or has changed since. */
  list: StoredList | undefined;
  /** How many changes of the list were reported, or may have been missed: a list that was read before the last of them is not kept. */
  changes: number;
  /** When it was asked for, by performance.now(). */
  askedMs: number;
  readonly unfollow: () => void;
}

/** What the cache has of a group: a new one for each list that is kept, since lru-cache takes a value's size only once. */
interface Entry {
  readonly kept: KeptList;
  /** The characters of the list's fields and values; 0 where no list was kept yet. */
  readonly length: number;
}

/** Where a list was read from: a label of a metric. */
export type ListSource = 'cache' | 'redis';

/**
 * Caches the lists of groups in this process. A list is dropped when a message says that it has changed; while such messages can't
 * arrive, every list is read from Redis.
 */
export class GroupLists {
  readonly #kept = new LRUCache<string, Entry>({
    max: MAX_LISTS,
    maxSize: MAX_CHARACTERS,
    sizeCalculation: ({ length }) => length + 1, // lru-cache takes no 0
    // at a `set` the same group is put in again, and is still followed
    dispose: ({ kept }, _group, reason) => reason !== 'set' && kept.unfollow(),
  });

  constructor(
    readonly target: RedisTarget,
    readonly lists: RecipientLists,
    readonly changes: ListChanges,
    readonly onRead: (source: ListSource) => void,
    /** Is called with the time of Redis' clock, µs since 1970. */
    readonly onTime: (nowUs: number) => void,
  ) {
    changes.on('lost', () => {
      for (const { kept } of this.#kept.values()) drop(kept);
    });
  }

  /** The list of a group: from the cache, or else a promise for it, by one script that is sent in this turn of the event loop. */
  get(group: string): StoredList | Promise<StoredList> {
    const kept = this.#kept.get(group)?.kept ?? this.#follow(group);
    const isHeard = this.changes.isHeard({ group });
    if (kept.list && isHeard && performance.now() - kept.askedMs < MAX_AGE_MS) {
      this.onRead('cache');
      return kept.list;
    }
    this.onRead('redis');
    return this.#read(group, kept, isHeard);
  }

  async #read(group: string, kept: KeptList, isHeard: boolean): Promise<StoredList> {
    const { changes } = kept;
    const askedMs = performance.now();
    const [nowUs, ...fields] = await listScript.run(this.target.client, [this.lists.group(group).key]);
    this.onTime(Number(nowUs));
    const list = parseList(fields);
    const length = fields.reduce((sum, field) => sum + field.length, 0);
    // A change after this read is told: what was heard by now has raised `changes`, what is heard later drops the list.
    const isCurrent =
      kept.changes === changes && this.changes.isHeard({ group }) && this.#kept.peek(group)?.kept === kept;
    // A list that is longer than all may be together is read each time.
    if (isHeard && isCurrent && length < MAX_CHARACTERS) {
      kept.list = list;
      kept.askedMs = askedMs;
      this.#kept.set(group, { kept, length });
    }
    return list;
  }

  #follow(group: string): KeptList {
    const kept: KeptList = {
      list: undefined,
      changes: 0,
      askedMs: 0,
      unfollow: this.changes.follow({ group }, () => drop(kept)),
    };
    this.#kept.set(group, { kept, length: 0 });
    return kept;
  }
}

/** The list has changed, or may have: also one that is being read is not kept. */
function drop(kept: KeptList): void {
  kept.changes++;
  kept.list = undefined;
}
