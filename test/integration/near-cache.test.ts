import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { askServer } from '../../lib/acl/server.js';
import { RedisSessionStore } from '../../lib/index.js';
import { targetOf } from '../../lib/redis/open-target.js';
import { NearCache } from '../../lib/session/near-cache.js';
import { FaultyProxy } from '../support/proxy.js';
import { allowDebug } from '../support/servers.js';
import { until } from '../support/until.js';

const data = (more: object): SessionData =>
  ({ cookie: { originalMaxAge: null, path: '/' }, ...more }) as unknown as SessionData;

describe('the near cache', () => {
  let redis: PrivateRedis;
  let proxy: FaultyProxy;
  let client: Redis;
  let store: RedisSessionStore;
  before(async () => {
    redis = await startPrivateRedis({ args: allowDebug() });
    client = new Redis(redis.url);
  });
  beforeEach(async () => {
    proxy = await FaultyProxy.open(redis.port);
    store = new RedisSessionStore({ url: proxy.url, nearCache: {} });
    await client.flushall();
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
  });
  after(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  /** Lets the event loop turn, as every request does: what is served from here needs no input or output of its own. */
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const n = async (sid = 'a') => {
    await turn();
    return (await store.get(sid))?.n;
  };
  const gets = async (act: () => Promise<unknown>) => {
    await client.config('RESETSTAT');
    await act();
    return Number(/cmdstat_get:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
  };
  /** Reads until one is served without Redis. */
  async function warm(sid = 'a'): Promise<void> {
    while ((await gets(() => store.get(sid))) > 0);
  }

  it('serves a session without a command, each time as an object of its own', async () => {
    await store.set('a', data({ n: 1, list: [] }));
    await warm();
    const read = async () => {
      const found = (await store.get('a')) as SessionData;
      (found.list as number[]).push(1);
      return found.list;
    };
    expect(await gets(async () => expect([await read(), await read()]).to.deep.equal([[1], [1]]))).to.equal(0);
    expect(await store.metrics.metrics()).to.match(/event="near"\} [1-9]/);
  });

  it('sees its own write at once, and another’s within 50 ms', async () => {
    const times: number[] = [];
    for (let i = 0; i < 30; i++) {
      await store.set('a', data({ n: i }));
      expect(await n()).to.equal(i);
      await warm();
      await client.set('sess:a', JSON.stringify(data({ n: `other ${i}` })));
      const written = performance.now();
      await until('it is seen', async () => (await n()) === `other ${i}`);
      times.push(performance.now() - written);
    }
    // on a busy machine a single one may take longer
    expect(times.toSorted((a, b) => a - b)[15]).to.be.below(50);
  });

  it('sees what another destroys, lets expire, or flushes', async () => {
    const gone = {
      destroy: () => client.del('sess:a'),
      expire: () => client.pexpire('sess:a', 1),
      flush: () => client.flushall(),
    };
    for (const [name, act] of Object.entries(gone)) {
      await store.set('a', data({ n: 1 }));
      await warm();
      await act();
      const done = performance.now();
      while ((await n()) !== undefined) expect(performance.now() - done, name).to.be.below(1000);
    }
  });

  it('serves nothing past its end, though Redis has not told of it yet', async () => {
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
    try {
      const cookie = { originalMaxAge: null, path: '/' };
      await client.set('sess:a', JSON.stringify({ cookie, n: 1 }), 'PX', 150);
      const ends = performance.now() + 150;
      await warm();
      expect(await n()).to.equal(1);
      while (performance.now() < ends + 5) await turn();
      expect(await n()).to.equal(undefined);
    } finally {
      await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', '1');
    }
  });

  it('serves nothing that it could not hear of: a held or cut connection means reading from Redis', async () => {
    await store.set('a', data({ n: 1 }));
    await warm();
    proxy.hold();
    await client.set('sess:a', JSON.stringify(data({ n: 2 })));
    const held = performance.now();
    let served = 0;
    while (performance.now() - held < 80) {
      const asked = performance.now();
      if ((await Promise.race([store.get('a'), turn()])) !== undefined) served = asked - held;
    }
    expect(served).to.be.below(50);
    proxy.release();
    proxy.cut();
    const read = async (): Promise<unknown> => n().catch(read);
    expect(await read()).to.equal(2);
    await warm();
    const [tracking] = String(await client.client('LIST'))
      .split('\n')
      .filter((line) => /flags=\S*t/.test(line))
      .map((line) => /^id=(\d+)/.exec(line)?.[1]);
    await client.client('KILL', 'ID', tracking as string);
    await client.set('sess:a', JSON.stringify(data({ n: 3 })));
    const killed = performance.now();
    while ((await read()) !== 3) expect(performance.now() - killed).to.be.below(50);
    await warm();
    expect(await n()).to.equal(3);
  });

  it('holds no more than its bytes, whatever sessions there are', async () => {
    const near = new NearCache(targetOf(client), 'sess:', { max: 10_000, maxBytes: 1_000_000, ttlSeconds: 10 });
    try {
      const text = 'x'.repeat(100_000);
      const keep = (key: string, of: string) => near.keep(key, near.begin(key), of, 10_000);
      while (near.get('sess:0') === undefined) {
        keep('sess:0', text);
        await turn();
      }
      for (let i = 0; i < 500; i++) keep(`sess:${i}`, text);
      keep('sess:huge', 'x'.repeat(1_000_001));
      await until('it is sure again', async () => {
        keep('sess:last', 'small');
        return near.get('sess:last') !== undefined;
      });
      const kept = Array.from({ length: 500 }, (_, i) => near.get(`sess:${i}`)).filter((one) => one !== undefined);
      expect(kept.length * text.length).to.be.within(100_000, 1_000_000);
      expect(near.get('sess:huge')).to.equal(undefined);
    } finally {
      near.close();
    }
  });

  it('does not keep a read that a write has crossed', async () => {
    const near = new NearCache(targetOf(client), 'sess:', { max: 10, maxBytes: 1_000_000, ttlSeconds: 10 });
    try {
      await client.set('sess:x', 'before');
      while (near.get('sess:x') === undefined) {
        near.keep('sess:x', near.begin('sess:x'), 'before', 1000);
        await turn();
      }
      near.forget('sess:x');
      const invalidated = new Promise((resolve) => near.client.once('messageBuffer', resolve));
      const mark = near.begin('sess:x');
      const text = await client.get('sess:x');
      await client.set('sess:x', 'after');
      await invalidated;
      near.keep('sess:x', mark, text as string, 1000);
      expect(near.get('sess:x')).to.equal(undefined);
      near.keep('sess:x', near.begin('sess:x'), 'after', 1000);
      expect(near.get('sess:x')).to.equal('after');
    } finally {
      near.close();
    }
  });

  it('is off, with an event, where the server does not allow it', async () => {
    // before 7.0 a rule takes away no subcommand
    const { version } = await askServer(redis.url);
    const without = version[0] < 7 ? '-client' : '-client|tracking';
    await client.acl('SETUSER', 'plain', 'on', '>secret', '~*', '&*', '+@all', without);
    const limited = new RedisSessionStore({
      url: redis.url.replace('redis://', 'redis://plain:secret@'),
      nearCache: {},
    });
    try {
      const fault = new Promise<Error>((resolve) => limited.once('fault', resolve));
      expect((await fault).message).to.match(/NOPERM/);
      await limited.set('a', data({ n: 1 }));
      expect(await gets(async () => [await limited.get('a'), await limited.get('a')])).to.equal(2);
    } finally {
      await limited.close();
    }
  });
});
