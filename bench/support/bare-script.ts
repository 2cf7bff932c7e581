/**
 * The page view's script as an application would run it by itself: what one turn of the event loop asks goes in one EVALSHA,
 * and nothing else is done: no bounds, no timeouts, no retries.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';

const dist = (path: string) => new URL(`../../dist/lib/${path}`, import.meta.url).href;
const { chooseBloomFilter } = (await import(dist('bloom/choose.js'))) as typeof import('../../lib/bloom/choose.js');
const { workScript, scripted } = (await import(
  dist('worker/commands/index.js')
)) as typeof import('../../lib/worker/commands/index.js');
const { commandKeys } = (await import(dist('keys.js'))) as typeof import('../../lib/keys.js');

interface Asked {
  readonly sid: string;
  readonly page: string;
  readonly resolve: (report: unknown) => void;
}

export async function bareScript(url: string, namespace: string, choice: 'module' | 'fallback') {
  const client = new Redis(url);
  const bloom = await chooseBloomFilter(client, choice);
  const of = { bloom, activityDays: 7, combos: new Map(), itemKey: (_: string, page: string) => page };
  const script = workScript(of);
  const pageview = scripted.get('pageview');
  if (!pageview || 'items' in pageview) throw new Error('there is no page view');
  let asked: Asked[] = [];
  const sender = randomBytes(6).toString('base64url');
  let count = 0;
  const flush = async () => {
    const all = asked;
    asked = [];
    const keys: string[] = [];
    const args: (string | number | Buffer)[] = ['', 0];
    for (const { sid, page } of all) {
      const its = commandKeys(namespace, sid);
      for (const name of pageview.keys) keys.push(its[name]);
      const message = { command: 'pageview', sid, rid: '', request: { id: `${sender}~${(++count).toString(36)}` } };
      const more = pageview.arguments(page, of, message);
      args.push('pageview', 3_600_000, -1, '', more.length, ...more);
    }
    args[1] = keys.length;
    const reply = await script.run(client, [...keys, ...args], keys.length);
    for (let i = 0; i < reply.length; i += 3) all[(reply[i] as number) - 1]?.resolve(JSON.parse(String(reply[i + 2])));
  };
  return {
    ask: (sid: string, page: string): Promise<unknown> =>
      new Promise((resolve) => {
        if (asked.length === 0) setImmediate(flush);
        asked.push({ sid, page, resolve });
      }),
    close: async () => client.disconnect(),
  };
}
