import { expect } from 'chai';
import type { RedisSessionStore, RedisSessionStoreOptions } from '../../lib/index.js';
import { rejected } from '../support/rejected.js';
import { data, load, save, StoreGround, told, userKey, users } from '../support/stores.js';
import { until } from '../support/until.js';

describe('a listener of a store’s events that throws', () => {
  const ground = new StoreGround();
  const { open, openFar, stored } = ground;
  const mine = new RangeError('the listener’s own');

  /** A store one of whose events has a listener that throws. */
  const withListener = (event: string, options: RedisSessionStoreOptions = {}): RedisSessionStore => {
    const store = open(options);
    store.on(event, () => {
      throw mine;
    });
    return store;
  };
  const countOf = async (store: RedisSessionStore, event: string): Promise<number> => {
    const [, count] = new RegExp(`store_total\\{event="${event}"\\} (\\d+)`).exec(await store.metrics.metrics()) ?? [];
    return Number(count ?? 0);
  };

  describe('of `created`', () => {
    it('fails the save, whose session is remembered: the next save is a merge, and no second `created`', async () => {
      const store = withListener('created');
      const session = data({ n: 0 });
      expect(await rejected(store.set('a', session))).to.equal(mine);
      await save(Object.assign(await load('a', open()), { other: 1 }));
      await store.set('a', Object.assign(session, { n: 1 }));
      expect(await stored('a')).to.deep.include({ n: 1, other: 1 });
      expect(await countOf(store, 'created')).to.equal(1);
    });

    it('brings back no session that was destroyed since', async () => {
      const store = withListener('created');
      const session = data({ n: 0 });
      await rejected(store.set('a', session));
      await open().destroy('a');
      const events = told(store);
      await store.set('a', Object.assign(session, { n: 1 }));
      expect(events).to.deep.equal(['refused a']);
      expect(await stored('a')).to.equal(null);
    });

    it('does not lift the limit of a user’s sessions', async () => {
      const store = withListener('created', { ...users, maxSessionsPerUser: 1 });
      for (const sid of ['a', 'b']) expect(await rejected(store.set(sid, data({ user: 'robin' })))).to.equal(mine);
      expect(await stored('a')).to.equal(null);
      expect(await stored('b')).to.have.property('user', 'robin');
    });
  });

  describe('of `ended`', () => {
    it('prevents no logout', async () => {
      const store = withListener('ended');
      await store.set('a', data({ n: 1 }));
      expect(await rejected(store.destroy('a'))).to.equal(mine);
      expect(await stored('a')).to.equal(null);
      expect(await countOf(store, 'destroyed')).to.equal(1);
    });

    it('leaves nothing of the session behind, where what ended is known afterwards only', async () => {
      const store = withListener('ended', users);
      store.useRotation({ everyMs: 60_000, graceMs: 1000 });
      await store.set('a', data({ user: 'robin' }));
      expect(await ground.client.hkeys(userKey('robin'))).to.deep.equal(['a']);
      expect(await rejected(store.destroy('a'))).to.equal(mine);
      expect(await stored('a')).to.equal(null);
      expect(await ground.client.hkeys(userKey('robin'))).to.deep.equal([]);
      expect(await countOf(store, 'destroyed')).to.equal(1);
    });
  });

  describe('of `fault`', () => {
    let uncaught: Error[];
    beforeEach(() => {
      uncaught = [];
      process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error));
    });
    afterEach(() => process.setUncaughtExceptionCaptureCallback(null));

    const answerOf = (act: (callback: (error?: unknown, result?: unknown) => void) => void) =>
      new Promise<{ error: unknown; result: unknown }>((resolve) => act((error, result) => resolve({ error, result })));

    it('keeps no page waiting: the fault is the page’s, and what the listener threw is an uncaught exception', async () => {
      const store = withListener('fault');
      await ground.client.lpush('sess:list', 'x');
      const { error } = await answerOf((callback) => void store.get('list', callback));
      expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
      expect(await rejected(store.get('list'))).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
      await until('both are told', () => uncaught.length === 2);
      expect(uncaught).to.deep.equal([mine, mine]);
    });

    it('nor where a session can’t be read, which counts as absent', async () => {
      const store = withListener('fault');
      await ground.client.set('sess:a', 'no session');
      const { error, result } = await answerOf((callback) => void store.get('a', callback));
      expect({ error, result }).to.deep.equal({ error: null, result: null });
      await until('it is told', () => uncaught.length === 1);
    });

    it('nor where Redis does not answer in time', async () => {
      const { proxy, store } = await openFar({ maxWaitMs: 100 });
      store.on('fault', () => {
        throw mine;
      });
      proxy.hold();
      const answers = await Promise.all([1, 2].map(() => answerOf((callback) => void store.get('a', callback))));
      for (const { error } of answers) expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
      proxy.release();
      await until('both are told', () => uncaught.length >= 2);
      expect(new Set(uncaught)).to.deep.equal(new Set([mine]));
    });
  });
});
