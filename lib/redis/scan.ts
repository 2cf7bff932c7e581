import type { Redis } from 'ioredis';
import type { RedisTarget } from './target.js';

/** Some keys, and the server that holds them. */
export interface Found {
  readonly node: Redis;
  readonly keys: readonly string[];
}

/** The keys that begin with a text, from every master, some at a time; SCAN may give one twice. */
export async function* scanPrefix(target: RedisTarget, prefix: string, count: number): AsyncGenerator<Found> {
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

/** One command for each key, in one round trip: the replies, or the first error. */
export async function forEachKey({ node, keys }: Found, command: 'get' | 'unlink'): Promise<unknown[]> {
  const replies = (await node.pipeline(keys.map((key) => [command, key])).exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
