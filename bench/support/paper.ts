/**
 * The white paper's pattern, written as the paper says ("Transport Mechanisms", "Putting it all together"): PUBLISH, a
 * pooled connection that blocks on a list for each waiting request; a worker with one MULTI a page view, then LPUSH and PEXPIRE.
 */
import { createPool } from 'generic-pool';
import { Redis } from 'ioredis';

export function paperServing(url: string, connections: number) {
  const client = new Redis(url);
  const pool = createPool(
    { create: async () => new Redis(url), destroy: async (one) => one.disconnect() },
    { max: connections, min: connections },
  );
  let requests = 0;
  return {
    /** The answer, or nothing after `timeoutMs` by this process' clock, whatever BLPOP does then. */
    async ask(command: string, sid: string, payload: string, timeoutMs: number): Promise<unknown> {
      const work = async () => {
        const one = await pool.acquire();
        try {
          const request = `${command}:${sid}:${process.pid}.${++requests}`;
          await client.publish(`ss:${request}`, payload);
          const reply = await one.blpop(`async:${request}`, timeoutMs / 1000);
          return reply ? JSON.parse(reply[1]) : undefined;
        } finally {
          await pool.release(one);
        }
      };
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, timeoutMs, undefined);
      });
      return Promise.race([work(), patience]).finally(() => clearTimeout(timer));
    },
    close: async () => {
      client.disconnect();
      await pool.drain();
      await pool.clear();
    },
  };
}

/** The paper counts minutes from a fixed point, and sets no expiry. */
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
      .call('BITFIELD', key('activity'), 'GET', 'u5', minute - 5, 'SET', 'u1', minute, 1)
      .pfcount(key('pages'))
      .call('BF.ADD', key('visited'), page)
      .exec();
    const [, total, bits, unique, fresh] = (results ?? []).map(([, reply]) => reply) as [
      number,
      number,
      [number, number],
      number,
      number,
    ];
    return {
      totalPages: total,
      uniquePages: unique,
      previouslyVisited: fresh === 0,
      activityThisMinute: bits[1] === 1,
      activity: [...bits[0].toString(2).padStart(5, '0')].map(Number),
    };
  };
  const answer = async (channel: string, payload: string) => {
    const [, command, sid = '', rid] = channel.split(':');
    const list = `async:${command}:${sid}:${rid}`;
    const report = JSON.stringify(await pageview(sid, payload));
    await Promise.all([client.lpush(list, report), client.pexpire(list, 500)]);
  };
  subscriber.on('pmessage', (_pattern: string, channel: string, payload: string) => void answer(channel, payload));
  await subscriber.psubscribe('ss:pageview:?*');
}
