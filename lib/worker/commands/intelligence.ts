import type { Redis } from 'ioredis';
import type { BloomFilter } from '../../bloom/bloom-filter.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';

const lua = (file: string): string => loadScript(`../../scripts/${file}.lua`, import.meta.url);

/** What the built-in commands share: the connection, the filter, and the scripts written upon it. */
export interface Intelligence {
  readonly redis: Redis;
  readonly bloom: BloomFilter;
  readonly activityDays: number;
  readonly combos: ReadonlyMap<string, readonly string[]>;
  readonly pageview: Script<number[]>;
  readonly activity: Script<string>;
  readonly seen: Script<number[]>;
  readonly markSeen: Script<number>;
}

export function intelligence(
  redis: Redis,
  bloom: BloomFilter,
  { activityDays, combos }: Pick<Intelligence, 'activityDays' | 'combos'>,
): Intelligence {
  return {
    redis,
    bloom,
    activityDays,
    combos,
    pageview: new Script(`${bloom.lua}\n${lua('pageview')}`, 5),
    activity: new Script(lua('activity'), 1),
    seen: new Script(`${bloom.lua}\n${lua('seen')}`, 1),
    markSeen: new Script(`${bloom.lua}\n${lua('mark-seen')}`, 1),
  };
}

/** Which items a filter may hold; one script call, none for an empty list. */
export async function whichSeen(of: Intelligence, key: string, items: readonly string[]): Promise<boolean[]> {
  if (items.length === 0) return [];
  const encoded = items.map((item) => of.bloom.encode(item));
  return (await of.seen.run(of.redis, [key, ...encoded])).map(Boolean);
}
