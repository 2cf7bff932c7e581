import { setTimeout as pause } from 'node:timers/promises';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';

export interface FloodOptions {
  /** distinct addresses that the attacker has asked for before */
  readonly addresses?: number;
  /** lists that the attacker waits for at a time; 0: no attack */
  readonly lists?: number;
  /** addresses in each list */
  readonly items?: number;
  /** the others */
  readonly visitors?: number;
  /** how long all of them go on */
  readonly ms?: number;
  readonly namespace?: string;
}

export interface Flooded {
  /** page views of the others, answered or not */
  readonly answered: number;
  readonly unanswered: number;
  readonly p99Ms: number;
  /** the attacker's lists */
  readonly listsAnswered: number;
  readonly listsUnanswered: number;
}

/**
 * One visitor has asked for thousands of addresses, and then loads pages that ask `freshPages()` (`featuredpages` on the wire)
 * of hundreds; the others view a page every 50 ms, by an executor of their own, and wait 100 ms for the report.
 */
export async function flood(url: string, options: FloodOptions = {}): Promise<Flooded> {
  const { addresses = 12_000, lists = 30, items = 500, visitors = 10, ms = 3000, namespace = '' } = options;
  const attacker = new RemoteExecutor(url, { namespace });
  const others = new RemoteExecutor(url, { namespace });
  try {
    const sid = 'attacker';
    for (let i = 0; i < addresses; i += 200) {
      const some = Array.from({ length: Math.min(200, addresses - i) }, (_, j) => `/no-such-page-${i + j}`);
      await Promise.all(
        some.map((page) => attacker.ask('pageview', sid, page, { ttlSeconds: 3600, timeoutMs: 10_000 })),
      );
    }
    const list = Array.from({ length: items }, (_, i) => `/news/${i}`);
    const endMs = performance.now() + ms;
    let [answered, unanswered, listsAnswered, listsUnanswered] = [0, 0, 0, 0];
    const times: number[] = [];
    const loading = Array.from({ length: lists }, async () => {
      while (performance.now() < endMs) {
        if ((await attacker.ask('featuredpages', sid, list, { ttlSeconds: 3600, timeoutMs: 100 })).answered)
          listsAnswered++;
        else listsUnanswered++;
        await pause(5); // an open circuit answers at once
      }
    });
    const viewing = Array.from({ length: visitors }, async (_, i) => {
      for (let n = 0; performance.now() < endMs; n++) {
        const started = performance.now();
        if (
          (await others.ask('pageview', `visitor-${i}`, `/page/${n % 20}`, { ttlSeconds: 3600, timeoutMs: 100 }))
            .answered
        )
          answered++;
        else unanswered++;
        times.push(performance.now() - started);
        await pause(50);
      }
    });
    await Promise.all([...loading, ...viewing]);
    times.sort((a, b) => a - b);
    const p99Ms = times[Math.floor(times.length * 0.99)] ?? Number.NaN;
    return { answered, unanswered, p99Ms, listsAnswered, listsUnanswered };
  } finally {
    await attacker.close({ timeout: 100 });
    await others.close({ timeout: 100 });
  }
}
