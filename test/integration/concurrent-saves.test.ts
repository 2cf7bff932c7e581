import { once } from 'node:events';
import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore, type RedisSessionStoreOptions } from '../../lib/index.js';
import { FaultyProxy } from '../support/proxy.js';
import { figures } from '../support/traffic.js';
import { until } from '../support/until.js';

const cookie = () => ({ path: '/', httpOnly: true, originalMaxAge: 50_000, expires: new Date(Date.now() + 50_000) });
const load = (sid: string, store: RedisSessionStore): Promise<Session & SessionData> =>
  new Promise((resolve, reject) =>
    store.load(sid, (error, found) =>
      error || !found ? reject(error ?? new Error('no session')) : resolve(found as Session & SessionData),
    ),
  );
const save = (session: Session): Promise<void> =>
  new Promise((resolve, reject) => session.save((error) => (error ? reject(error) : resolve())));

describe('saves of one session at once, by one process', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened: RedisSessionStore[] = [];
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
    await client.flushall();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });

  function open(options: RedisSessionStoreOptions = {}): RedisSessionStore {
    const store = new RedisSessionStore({ url: redis.url, ...options });
    opened.push(store);
    return store;
  }
  /** How often texts of this length at least are parsed and made meanwhile. */
  async function counting(length: number, act: () => Promise<unknown>) {
    const counts = { parsed: 0, serialized: 0 };
    const { parse, stringify } = JSON;
    JSON.parse = (text, ...more) => {
      if (text.length >= length) counts.parsed++;
      return parse(text, ...more);
    };
    JSON.stringify = ((...args: Parameters<typeof stringify>) => {
      const text = stringify(...args);
      if (text?.length >= length) counts.serialized++;
      return text;
    }) as typeof stringify;
    try {
      await act();
    } finally {
      Object.assign(JSON, { parse, stringify });
    }
    return counts;
  }
  const stored = async () => JSON.parse((await client.get('sess:s')) ?? 'null') as SessionData;
  /** Commands and bytes that Redis has had of everybody. */
  async function spent() {
    const info = await client.info('everything');
    const figure = (name: string) => Number(new RegExp(`${name}[:=](\\d+)`).exec(info)?.[1] ?? 0);
    const calls = (command: string) => figure(`cmdstat_${command}:calls`);
    return {
      scripts: calls('evalsha') + calls('eval'),
      reads: calls('get') + calls('mget'),
      bytes: figure('total_net_input_bytes') + figure('total_net_output_bytes'),
    };
  }
  const kilobytes = (kB: number) =>
    Object.fromEntries(
      Array.from({ length: Math.max(1, kB / 4) }, (_, i) => [
        `list${i}`,
        Array.from({ length: Math.min(kB, 4) * 16 }, (_, j) => ({
          id: j,
          name: 'an item of a list, of its own',
          price: 9.99,
        })),
      ]),
    );

  for (const kB of [1, 79])
    for (const requests of [1, 20, 200])
      it(`are written as two at most, and each one’s change is kept: ${requests} of ${kB} kB`, async () => {
        const store = open();
        await store.set('s', { cookie: cookie(), ...kilobytes(kB) } as never);
        const conflicts: string[] = [];
        store.on('conflict', (sid) => conflicts.push(sid));
        const size = ((await client.get('sess:s')) as string).length;
        const loading = await spent();
        const sessions = await Promise.all(Array.from({ length: requests }, () => load('s', store)));
        const before = await spent();
        expect(before.bytes - loading.bytes, 'of the reads').to.be.below(4 * size + 20_000);
        for (const [i, session] of sessions.entries()) session[`key${i}`] = i;
        const [cpu, began] = [process.cpuUsage(), performance.now()];
        const { parsed, serialized } = await counting(size, () => Promise.all(sessions.map(save)));
        const tookMs = performance.now() - began;
        const { user, system } = process.cpuUsage(cpu);
        const after = await spent();
        const [scripts, bytes] = [after.scripts - before.scripts, after.bytes - before.bytes];
        figures(
          `${tookMs.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of CPU; ${parsed} parsed, ` +
            `${serialized} serialized, ${scripts} scripts, ${Math.round(bytes / 1000)} kB to and from Redis`,
        );
        const now = await stored();
        for (let i = 0; i < requests; i++) expect(now).to.have.property(`key${i}`, i);
        expect(conflicts).to.have.lengthOf(requests - 1);
        expect(scripts).to.be.at.most(2);
        // a text of its own each: that is what it saved
        expect(serialized).to.be.at.most(requests + 1);
        expect(parsed).to.be.at.most(4);
        expect(bytes).to.be.below(5 * size + 20_000);
      });

  it('tell as many conflicts with saveMode reject as one after the other: one is saved', async () => {
    const store = open({ saveMode: 'reject' });
    await store.set('s', { cookie: cookie(), n: 0 } as never);
    const sessions = await Promise.all(Array.from({ length: 20 }, () => load('s', store)));
    for (const [i, session] of sessions.entries()) session.n = i + 1;
    const errors = await Promise.all(sessions.map((session) => save(session).catch((error) => error.status)));
    expect(errors.filter((status) => status === 409)).to.have.lengthOf(19);
    expect((await stored()).n).to.equal(errors.indexOf(undefined) + 1);
  });

  it('of which some redirect, or log in, are sent at once unless they are sure to lose, and all are kept', async () => {
    const store = open({ user: (session) => session.user as string });
    await store.set('s', { cookie: cookie(), n: 0 } as never);
    const sessions = await Promise.all(Array.from({ length: 60 }, () => load('s', store)));
    await Promise.all(
      sessions.map((session, i) => {
        session[`key${i}`] = i;
        if (i % 3 === 1) session.user = 'robin';
        if (i % 3 === 2) Object.assign(session.req as object, { res: { statusCode: 302 } });
        return save(session);
      }),
    );
    const now = await stored();
    for (let i = 0; i < 60; i++) expect(now).to.have.property(`key${i}`, i);
    expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal(['s']);
  });

  it('of which one ends the session meanwhile leave it ended', async () => {
    const store = open();
    const refused: string[] = [];
    store.on('refused', (sid) => refused.push(sid));
    await store.set('s', { cookie: cookie(), n: 0 } as never);
    const sessions = await Promise.all(Array.from({ length: 20 }, () => load('s', store)));
    for (const [i, session] of sessions.entries()) session[`key${i}`] = i;
    const saves = sessions.slice(0, 10).map(save);
    const ended = store.destroy('s');
    saves.push(...sessions.slice(10).map(save));
    await Promise.all([...saves, ended]);
    expect(await stored()).to.equal(null);
    expect(refused.length).to.be.at.least(18);
  });

  it('that get no answer may be saved again, each of them', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    try {
      const store = open({ url: proxy.url });
      await store.set('s', { cookie: cookie(), n: 0 } as never);
      const sessions = await Promise.all(Array.from({ length: 20 }, () => load('s', store)));
      for (const [i, session] of sessions.entries()) session[`key${i}`] = i;
      proxy.holdAnswers();
      const failed = Promise.all(sessions.map((session) => save(session).catch((error) => error.code)));
      await until('the first is in Redis', async () => Object.keys(await stored()).length > 2);
      const ready = once(store.client, 'ready');
      proxy.cut();
      proxy.release();
      // those that were not sent are, when it is back
      const codes = (await failed).filter((code) => code !== undefined);
      expect(codes).to.not.be.empty;
      for (const code of codes) expect(code).to.match(/_REDIS$|_NOT_READY$/);
      await ready;
      await Promise.all(sessions.map(save));
      const now = await stored();
      for (let i = 0; i < 20; i++) expect(now).to.have.property(`key${i}`, i);
    } finally {
      proxy.cut();
      await proxy.close();
    }
  });
});
