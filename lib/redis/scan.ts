import type { Redis } from 'ioredis';
import type { RedisTarget } from './target.js';

/** Some keys, and the client of the server that holds them. */
export interface FoundKeys {
  readonly node: Redis;
  readonly keys: readonly string[];
}

/** Finds the keys that begin with a prefix, on every master, some `count` at a time. SCAN may give a key twice. */
export async function* scanPrefix(target: RedisTarget, prefix: string, count: number): AsyncGenerator<FoundKeys> {
  const match = `${prefix.replace(/[*?[\]\\^-]/g, '\\$&')}*`;
  for (const node of target.masters()) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', match, 'COUNT', count);
      cursor = next;
      if (keys.length > 0) yield { node, keys };
    } while (cursor !== '0');
  }
}

/** Sends one command for each key, all in one round trip. Gives the replies, or throws the first error. */
export async function forEachKey({ node, keys }: FoundKeys, command: 'get' | 'unlink'): Promise<unknown[]> {
  const replies = (await node.pipeline(keys.map((key) => [command, key])).exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
