/**
 * The page view's script as an application would run it by itself: what one turn of the event loop asks goes in one EVALSHA,
 * and nothing else is done: no bounds, no timeouts, no retries.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';

const dist = (path: string) => new URL(`../../dist/lib/${path}`, import.meta.url).href;
const { chooseBloomFilter } = (await import(
  dist('bloom-choice/choose-bloom-filter.js')
)) as typeof import('../../lib/bloom-choice/choose-bloom-filter.js');
const { keysOf } = (await import(
  dist('intelligence/commands.js')
)) as typeof import('../../lib/intelligence/commands.js');
const { pageview } = (await import(
  dist('intelligence/commands/pageview/index.js')
)) as typeof import('../../lib/intelligence/commands/pageview/index.js');
const { commandScript, TO_CALLER } = (await import(
  dist('intelligence/script.js')
)) as typeof import('../../lib/intelligence/script.js');
const { intelligencePrefix } = (await import(dist('redis/keys.js'))) as typeof import('../../lib/redis/keys.js');

interface Asked {
  readonly sid: string;
  readonly page: string;
  readonly resolve: (report: unknown) => void;
}

export async function bareScript(url: string, namespace: string, choice: 'module' | 'fallback') {
  const client = new Redis(url);
  const bloom = await chooseBloomFilter(client, choice);
  const of = { bloom, activityDays: 7, combos: new Map(), items: storedItems(undefined), messageAgeMs: 60_000 };
  const script = commandScript(of, TO_CALLER);
  /** all keys for a visitor's first page view, later those that a page view takes */
  const visitors = new Set<string>();
  let asked: Asked[] = [];
  const sender = randomBytes(6).toString('base64url');
  let count = 0;
  const flush = async () => {
    const all = asked;
    asked = [];
    const keys: string[] = [];
    const messages: object[] = [];
    for (const { sid, page } of all) {
      const key = keys.length + 1;
      const prefix = intelligencePrefix(namespace, sid);
      const all = !visitors.has(sid) && { all: true };
      visitors.add(sid);
      for (const name of all ? keysOf(pageview) : pageview.keys) keys.push(prefix + name);
      const id = `${sender}~${(++count).toString(36)}`;
      const fields = pageview.fields({ sid, id, payload: page, isAnonymous: false }, of);
      messages.push({ ...fields, ...all, command: 'pageview', key, ttl: 3_600_000, waits: true });
    }
    const reply = await script.run(client, [...keys, JSON.stringify(messages)], keys.length);
    for (const [i, { resolve }] of all.entries()) resolve(JSON.parse(String(reply[i])));
  };
  return {
    ask: (sid: string, page: string): Promise<unknown> =>
      new Promise((resolve) => {
        if (asked.length === 0) setImmediate(() => void flush());
        asked.push({ sid, page, resolve });
      }),
    close: async () => client.disconnect(),
  };
}
