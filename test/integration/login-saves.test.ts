import { expect } from 'chai';
import { data, load, save, StoreGround, users, userKey } from '../support/stores.js';
import { until } from '../support/until.js';

describe('a save of RedisSessionStore', () => {
  const ground = new StoreGround();
  const { open, openFar, stored } = ground;
  let redis: StoreGround['redis'];
  let client: StoreGround['client'];
  before(() => {
    ({ redis, client } = ground);
  });

  describe('of a login', () => {
    it('does not wait for the answer to its note: a new session, one that logs in, after SCRIPT FLUSH too', async () => {
      const { proxy, store } = await openFar(users);
      for (const flushed of [false, true]) {
        await store.set('old', data({ n: 1 }, 50_000));
        const session = await load('old', store);
        session.n = 2;
        await save(session);
        if (flushed) await client.script('FLUSH');
        proxy.holdAnswers();
        const fresh = store.set('new', data({ user: 'robin' }, 50_000));
        await until('the new session is stored', async () => (await stored('new'))?.user === 'robin');
        proxy.release();
        await fresh;
        session.user = 'robin';
        proxy.holdAnswers();
        const login = save(session);
        // a changed session's script must be known: the one after a flush is sent twice
        if (!flushed) await until('the session is saved', async () => (await stored('old'))?.user === 'robin');
        proxy.release();
        await login;
        expect(await client.hkeys(userKey('robin'))).to.have.members(['new', 'old']);
        await store.clear();
      }
    });

    it('is noted before it is stored, and destroyAllOf() misses none that is there', async () => {
      const store = open(users);
      const other = open(users);
      await store.length();
      const check = `local there, missed = 0, 0
        for _, key in ipairs(redis.call('KEYS', 'sess:*')) do
          there = there + 1
          if redis.call('HEXISTS', '${userKey('robin')}', key:sub(6)) == 0 then missed = missed + 1 end
        end
        return { there, missed }`;
      let [seen, ended] = [0, 0];
      for (let round = 0; round < 20; round++) {
        await client.script('FLUSH');
        const logins = Promise.all(
          Array.from({ length: 10 }, (_, i) => store.set(`s${round}-${i}`, data({ user: 'robin' }, 50_000))),
        );
        let there = 0;
        while (there === 0) {
          const [count, missed] = (await client.eval(check, 0)) as [number, number];
          expect(missed).to.equal(0);
          there = count;
        }
        const before = (await client.keys('sess:*')).map((key) => key.slice(5));
        ended += await other.destroyAllOf('robin');
        await logins;
        seen += before.length;
        for (const sid of before) expect(await stored(sid), sid).to.equal(null);
        await store.destroyAllOf('robin');
      }
      expect(seen).to.be.at.least(20);
      expect(ended).to.be.at.least(seen);
    });

    it('whose note Redis refuses is not stored, is the page’s error, and can be saved again', async () => {
      const store = open(users);
      await client.set(userKey('robin'), 'no hash');
      await store.set('old', data({ n: 1 }, 50_000));
      const [fresh, session] = [data({ user: 'robin' }, 50_000), await load('old', store)];
      session.user = 'robin';
      expect((await store.set('new', fresh).catch((error) => error)).message).to.match(/WRONGTYPE/);
      expect((await save(session).catch((error) => error)).message).to.match(/WRONGTYPE/);
      expect(await stored('new')).to.equal(null);
      expect(await stored('old'))
        .to.deep.include({ n: 1 })
        .and.not.have.property('user');
      await client.del(userKey('robin'));
      await Promise.all([store.set('new', fresh), save(session)]);
      expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.have.members(['new', 'old']);
    });

    it('never waits for itself where the limit of the user’s sessions ends it', async () => {
      const store = open({ ...users, maxSessionsPerUser: 1 });
      for (let round = 0; round < 20; round++) {
        const sids = Array.from({ length: 20 }, (_, i) => `${String.fromCharCode(122 - i)}${round}`);
        await Promise.all(sids.map((sid) => store.set(sid, data({ user: `u${round}` }, 50_000))));
        expect((await store.sessionsOf(`u${round}`)).length).to.equal(1);
      }
    });
  });

  it('logs out where no tombstone may be written: no memory left, or an ACL without its key', async () => {
    const store = open(users);
    await store.set('m', data({ n: 1 }));
    await client.config('SET', 'maxmemory', '1');
    await store.destroy('m');
    await client.config('SET', 'maxmemory', '0');
    expect(await stored('m')).to.equal(null);
    await client.acl('SETUSER', 'narrow', 'on', '>secret', '~sess:*', '&*', '+@all');
    const narrow = open({ url: redis.url.replace('redis://', 'redis://narrow:secret@') });
    const faults: Error[] = [];
    narrow.on('fault', (error) => faults.push(error));
    for (const sid of ['a', 'b']) {
      await narrow.set(sid, data({ n: 1 }));
      await narrow.destroy(sid);
      expect(await stored(sid)).to.equal(null);
    }
    expect(faults.map(({ message }) => /ended:\*/.test(message))).to.deep.equal([true]);
  });

  it('of whom the user function says nothing sensible is nobody’s, with one fault; false is nobody', async () => {
    let said: () => unknown = () => false;
    const store = open({ user: () => said() as string });
    const faults: { code?: string }[] = [];
    store.on('fault', (error) => faults.push(error));
    await store.set('f', data({ n: 1 }));
    expect(faults).to.have.lengthOf(0);
    said = () => 'robin';
    await store.set('robin', data({ n: 1 }));
    // what a body may hold, and what code may give by mistake
    const parsed = ['{}', '["robin"]', '[["robin"]]', '[]', '{"toString":"robin"}', '{"__proto__":["robin"]}', 'true'];
    const nonsense: (() => unknown)[] = parsed.map((text) => () => JSON.parse(text) as unknown);
    nonsense.push(
      () => Promise.resolve('robin'),
      () => Promise.reject(new Error('theirs')),
      () => Number.NaN,
      () => new Date(),
      () => /robin/,
      () => new Error('robin'),
      () => () => 'robin',
      () => Symbol('robin'),
      () => Object.create(null),
      () => new Map([['robin', 1]]),
    );
    for (const [i, one] of nonsense.entries()) {
      said = one;
      await store.set(`n${i}`, data({ n: 1 }));
      const session = await load(`n${i}`, store);
      session.n = 2;
      await save(session);
    }
    expect(faults.map(({ code }) => code)).to.deep.equal(['ERR_INTELLIGENT_SESSION_ARGUMENT']);
    said = () => ({ toString: () => '507f1f77bcf86cd799439011' });
    await store.set('o', data({ n: 1 }));
    expect(await client.keys('users:*')).to.have.members([userKey('507f1f77bcf86cd799439011'), userKey('robin')]);
    expect(await client.hkeys(userKey('robin'))).to.deep.equal(['robin']);
    said = () => 'robin';
    expect(await store.destroyAllOf('robin')).to.equal(1);
    expect(await store.length()).to.equal(nonsense.length + 2);
    expect(faults).to.have.lengthOf(1);
  });
});
