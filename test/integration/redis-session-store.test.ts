import { expect } from 'chai';
import session, { type SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore } from '../../lib/index.js';

const data = (more: object = {}, expires?: Date): SessionData =>
  ({
    cookie: { originalMaxAge: null, path: '/', httpOnly: true, ...(expires && { expires }) },
    ...more,
  }) as SessionData;

describe('RedisSessionStore', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let store: RedisSessionStore;
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    store = new RedisSessionStore({ redis: redis.url, ttl: 100, scanCount: 10 });
  });
  beforeEach(() => client.flushdb());
  after(async () => {
    await store.close();
    client.disconnect();
    await redis.stop();
  });

  it('is a store of express-session’s', () => {
    expect(store).to.be.instanceOf(session.Store);
  });

  it('gives back what was set, by promise and by callback', async () => {
    await store.set('a', data({ cart: [1, { two: 2 }] }));
    expect(await store.get('a')).to.deep.include({ cart: [1, { two: 2 }] });
    const [error, found] = await new Promise<unknown[]>((resolve) => void store.get('a', (...args) => resolve(args)));
    expect(error).to.equal(null);
    expect(found).to.deep.include({ cart: [1, { two: 2 }] });
    expect(await store.get('none')).to.equal(null);
  });

  it('keeps JSON under sess:<sid>, as connect-redis does', async () => {
    await store.set('a:b*', data({ user: 'robin' }));
    expect(JSON.parse((await client.get('sess:a:b*')) ?? '')).to.deep.include({ user: 'robin' });
    await client.set('sess:theirs', '{"cookie":{"originalMaxAge":null},"n":1}', 'EX', 50);
    expect(await store.get('theirs')).to.deep.include({ n: 1 });
  });

  it('expires with the cookie to the millisecond, else after ttl', async () => {
    await store.set('cookie', data({ n: 1 }, new Date(Date.now() + 12_345)));
    await store.set('ttl', data({ n: 1 }));
    expect(await client.pttl('sess:cookie')).to.be.within(11_345, 12_345);
    expect(await client.pttl('sess:ttl')).to.be.within(99_000, 100_000);
    await store.set('cookie', data({ n: 1 }, new Date(Date.now() - 1)));
    expect(await client.exists('sess:cookie')).to.equal(0);
  });

  it('moves the expiry and the stored cookie’s at a touch, and revives nothing', async () => {
    await store.set('a', data({ n: 1 }, new Date(Date.now() + 1000)));
    const later = new Date(Date.now() + 50_000);
    await store.touch('a', data({ n: 2 }, later));
    expect(await client.pttl('sess:a')).to.be.above(40_000);
    const after = await store.get('a');
    expect(after).to.deep.include({ n: 1 });
    expect(after?.cookie.expires).to.equal(later.toJSON());
    await store.touch('gone', data({}, later));
    await store.touch('gone', data());
    expect(await client.exists('sess:gone')).to.equal(0);
  });

  it('never undoes with a touch what another request saved meanwhile', async () => {
    const later = new Date(Date.now() + 50_000);
    for (let round = 0; round < 100; round++) {
      await store.set('a', data({ n: 0 }, later));
      await Promise.all([store.touch('a', data({}, later)), store.set('a', data({ n: 1 }, later))]);
      expect(await store.get('a')).to.deep.include({ n: 1 });
    }
  });

  it('counts, lists, clears only its own sessions, with a glob in the prefix', async () => {
    const odd = new RedisSessionStore({ redis: redis.url, prefix: 'a[b]*:' });
    try {
      await Promise.all(Array.from({ length: 25 }, (_, i) => store.set(`s${i}`, data({ i }))));
      await odd.set('x', data({ odd: true }));
      await client.set('ab*:no', 'x');
      expect(await store.length()).to.equal(25);
      expect((await store.ids()).sort()).to.include.members(['s0', 's24']);
      expect((await store.all()).map(({ id }) => id)).to.have.lengthOf(25);
      expect(await odd.all())
        .to.have.lengthOf(1)
        .and.have.nested.property('[0].id', 'x');
      await odd.clear();
      expect(await store.length()).to.equal(25);
      await store.clear();
      expect(await client.keys('*')).to.deep.equal(['ab*:no']);
    } finally {
      await odd.close();
    }
  });

  it('destroys', async () => {
    await store.set('a', data({ n: 1 }));
    await store.destroy('a');
    expect(await store.get('a')).to.equal(null);
  });

  it('answers with a coded error, without the session’s id or data, where a key holds something else', async () => {
    await client.rpush('sess:secret-id', 'x');
    const error = await store.get('secret-id').catch((e) => e);
    expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
    expect(JSON.stringify([error.message, { ...error }])).to.not.contain('secret-id');
  });

  it('calls a callback once, even one that throws', async () => {
    let calls = 0;
    const thrown = new Promise<Error>((resolve) => {
      const listeners = process.rawListeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of listeners) process.on('uncaughtException', listener as never);
        resolve(error);
      });
    });
    void store.get('a', () => {
      calls++;
      throw new Error('the page’s own');
    });
    expect((await thrown).message).to.equal('the page’s own');
    await store.get('a');
    expect(calls).to.equal(1);
  });
});
