/**
 * The white paper's pattern, written as the paper says ("Transport Mechanisms", "Putting it all together"): PUBLISH, a
 * pooled connection that blocks on a list for each waiting request; a worker with one MULTI a page view, then LPUSH.
 */
import { createPool } from 'generic-pool';
import { Redis } from 'ioredis';

const TIMEOUT_SECONDS = 1;

export function paperServing(url: string, connections: number) {
  const client = new Redis(url);
  const pool = createPool(
    { create: async () => new Redis(url), destroy: async (one) => one.disconnect() },
    { max: connections, min: connections },
  );
  let requests = 0;
  return {
    async ask(command: string, sid: string, payload: string): Promise<unknown> {
      const one = await pool.acquire();
      try {
        const request = `${command}:${sid}:${process.pid}.${++requests}`;
        await client.publish(`ss:${request}`, payload);
        const reply = await one.blpop(`async:${request}`, TIMEOUT_SECONDS);
        return reply ? JSON.parse(reply[1]) : undefined;
      } finally {
        await pool.release(one);
      }
    },
    close: async () => {
      client.disconnect();
      await pool.drain();
      await pool.clear();
    },
  };
}

const START = Date.UTC(2026, 0, 1) / 60_000;

export async function paperWorker(url: string): Promise<void> {
  const client = new Redis(url);
  const subscriber = new Redis(url);
  const pageview = async (sid: string, page: string) => {
    const minute = Math.floor(Date.now() / 60_000 - START);
    const key = (name: string) => `ss:${name}:${sid}`;
    const results = await client
      .multi()
      .pfadd(key('pages'), page)
      .incr(key('views'))
      .bitfield(key('activity'), 'SET', 'u1', minute, 1)
      .bitfield(key('activity'), 'GET', 'u5', Math.max(0, minute - 5))
      .pfcount(key('pages'))
      .call('BF.ADD', key('visited'), page)
      .exec();
    const [, total, [was] = [], [bits] = [], unique, fresh] = (results ?? []).map(([, reply]) => reply) as any[];
    return {
      totalPages: total,
      uniquePages: unique,
      previouslyVisited: fresh === 0,
      activityThisMinute: was === 1,
      activity: [...Number(bits).toString(2).padStart(5, '0')].map(Number),
    };
  };
  subscriber.on('pmessage', async (_pattern: string, channel: string, payload: string) => {
    const [, command, sid = '', rid] = channel.split(':');
    if (command !== 'pageview') return;
    const list = `async:${command}:${sid}:${rid}`;
    const answer = JSON.stringify(await pageview(sid, payload));
    client.lpush(list, answer);
    client.pexpire(list, 500);
  });
  await subscriber.psubscribe('ss:pageview:?*');
}
