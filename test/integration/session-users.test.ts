import { expect } from 'chai';
import { RedisSessionStore } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { until } from '../support/until.js';
import { data, load, save, StoreGround, told, users, userKey } from '../support/stores.js';

describe('RedisSessionStore', () => {
  const ground = new StoreGround();
  const { withStore } = ground;
  let client: StoreGround['client'];
  let store: RedisSessionStore;
  before(() => {
    ({ client } = ground);
  });
  beforeEach(async () => {
    store = ground.open({ ttl: 100, scanCount: 10 });
    await store.length(); // it is connected
  });

  describe('users', () => {
    const later = () => new Date(Date.now() + 50_000);

    it('have their sessions listed and ended, and none of another’s', () =>
      withStore(users, async (of) => {
        for (const id of ['1', '2', '3']) await of.set(id, data({ user: 'robin' }, later()));
        await of.set('4', data({ user: 'kim' }, later()));
        await of.set('5', data({ n: 1 }, later()));
        expect((await of.sessionsOf('robin')).map(({ id }) => id)).to.have.members(['1', '2', '3']);
        const slow = await load('1', of);
        expect(await of.destroyAllOf('robin', { except: '2' })).to.equal(2);
        slow.n = 1;
        await save(slow);
        expect((await of.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal(['2']);
        expect((await of.ids()).sort()).to.deep.equal(['2', '4', '5']);
        expect(await client.pttl(userKey('robin'))).to.be.within(50_000, 62_000);
        await of.destroy('4');
        expect(await client.exists(userKey('kim'))).to.equal(0);
      }));

    it('have the sessions that were noted under an older itemSecret, in a roll out too', async () => {
      const [older, newer] = ['an older secret here', 'a newer secret here'] as const;
      const keyUnder = (secret: string) => `users:sess:${userSubject('robin', secret)}`;
      const before = ground.open({ ...users, itemSecret: older });
      const first = ground.open({ ...users, itemSecret: [older, newer] });
      const second = ground.open({ ...users, itemSecret: [newer, older] });
      const idsOf = async (of: RedisSessionStore) => (await of.sessionsOf('robin')).map(({ id }) => id).sort();
      await before.set('1', data({ user: 'robin' }, later()));
      await first.set('2', data({ user: 'robin' }, later()));
      await second.set('3', data({ user: 'robin' }, later()));
      await second.set('4', data({ user: 'kim' }, later()));
      expect(await client.hkeys(keyUnder(older))).to.have.members(['1', '2']);
      expect(await client.hkeys(keyUnder(newer))).to.deep.equal(['3']);
      for (const of of [first, second]) expect(await idsOf(of)).to.deep.equal(['1', '2', '3']);
      await second.destroy('1');
      expect(await client.hkeys(keyUnder(older))).to.deep.equal(['2']);
      expect(await second.destroyAllOf('robin', { except: '3' })).to.equal(1);
      expect(await client.exists(keyUnder(older))).to.equal(0);
      expect(await first.destroyAllOf('robin')).to.equal(1);
      expect(await client.keys('users:*')).to.deep.equal([`users:sess:${userSubject('kim', newer)}`]);
    });

    it('have at most so many with those that were noted under an older itemSecret', async () => {
      const [older, newer] = ['an older secret here', 'a newer secret here'] as const;
      const before = ground.open({ ...users, itemSecret: older });
      const limited = ground.open({ ...users, maxSessionsPerUser: 2, itemSecret: [newer, older] });
      await before.set('1', data({ user: 'robin' }, later()));
      await until('a later moment by Redis’ clock', async () => (await nowMs()) > (await seenAt('1', older)));
      await before.set('2', data({ user: 'robin' }, later()));
      await until('a later moment by Redis’ clock', async () => (await nowMs()) > (await seenAt('2', older)));
      await limited.set('3', data({ user: 'robin' }, later()));
      expect((await limited.ids()).sort()).to.deep.equal(['2', '3']);
    });
    const nowMs = async () => {
      const [seconds, micros] = await client.time();
      return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    };
    const seenAt = async (sid: string, secret: string) =>
      Number((await client.hget(`users:sess:${userSubject('robin', secret)}`, sid))?.split(':')[1]);

    it('are found by their sessions only: login, logout, another user, expiry', () =>
      withStore(users, async (of) => {
        await of.set('a', data({ n: 1 }, later()));
        const session = await load('a', of);
        session.user = 'robin';
        await save(session);
        expect(await of.sessionsOf('robin')).to.have.lengthOf(1);
        session.user = 'kim';
        await save(session);
        expect(await of.sessionsOf('robin')).to.have.lengthOf(0);
        expect(await of.sessionsOf('kim')).to.have.lengthOf(1);
        delete session.user;
        await save(session);
        expect(await of.sessionsOf('kim')).to.have.lengthOf(0);
        await of.set('b', data({ user: 'kim' }, later()));
        await client.del('sess:b');
        expect(await of.sessionsOf('kim')).to.have.lengthOf(0);
      }));

    it('have at most so many: those that were seen longest ago go, whatever their expiry', () =>
      withStore({ ...users, maxSessionsPerUser: 3, touchAfter: 0 }, async (of) => {
        const events = told(of);
        const ends = [900, 30, 60, 10, 50, 40];
        const tick = async () => {
          const ms = async () => {
            const [seconds, micros] = await client.time();
            return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
          };
          for (const now = await ms(); (await ms()) === now;);
        };
        for (const [i, seconds] of ends.entries()) {
          await of.set(`s${i}`, data({ user: 'robin' }, new Date(Date.now() + seconds * 1000)));
          await tick();
          if (i === 1) {
            const first = await load('s0', of);
            first.cookie.maxAge = 901_000;
            await of.touch('s0', first);
            await tick();
          }
          if (i === 3) await client.del('sess:s3');
        }
        // s1 went for s3 (s0 was seen after it), s0 for s5
        expect((await of.ids()).sort()).to.deep.equal(['s2', 's4', 's5']);
        expect(events.filter((one) => one.startsWith('destroyed'))).to.deep.equal(['destroyed s1', 'destroyed s0']);
      }));

    it('lose no live session to one that is gone, and none to readers between note and save', () =>
      withStore({ ...users, maxSessionsPerUser: 2, touchAfter: 0 }, async (of) => {
        const user = { user: 'robin' };
        await of.set('s0', data(user, later()));
        await of.set('s1', data(user, later()));
        const [touching, saving] = [await load('s0', of), await load('s0', of)];
        await of.set('s2', data(user, later()));
        await of.touch('s0', touching);
        saving.n = 1;
        await save(saving);
        expect((await of.ids()).sort()).to.deep.equal(['s1', 's2']);
        expect(await client.hkeys(userKey('robin'))).to.have.members(['s1', 's2']);

        await Promise.all(Array.from({ length: 6 }, (_, i) => of.set(`p${i}`, data({ user: 'kim' }, later()))));
        expect(await of.ids().then((ids) => ids.filter((id) => id.startsWith('p')))).to.have.lengthOf(2);
        expect(await of.destroyAllOf('kim')).to.equal(2);
        await withStore({ ...users }, async (other) => {
          for (let i = 0; i < 50; i++) {
            const sid = `q${i}`;
            const reads = [1, 2].map(() => other.sessionsOf(`u${i}`));
            await Promise.all([of.set(sid, data({ user: `u${i}` }, later())), ...reads]);
            expect((await other.sessionsOf(`u${i}`)).map(({ id }) => id)).to.deep.equal([sid]);
          }
        });
      }));

    it('are known as long as their sessions live, saves and touches without a note included', () =>
      withStore({ ...users, touchAfter: 60 }, async (of) => {
        await of.set('s', data({ user: 'robin' }, later()));
        const session = await load('s', of);
        session.cookie.maxAge = 55_000;
        session.n = 1;
        await save(session);
        const [, , ends] = String(await client.hget(userKey('robin'), 's')).split(':');
        const [seconds] = await client.time();
        expect(Number(ends)).to.be.above(Number(seconds) * 1000 + (await client.pttl('sess:s')));
      }));

    it('own what is stored, not what a stale request thinks', () =>
      withStore({ ...users, touchAfter: 0 }, async (of) => {
        await of.set('s', data({ user: 'robin' }, later()));
        const [one, stale] = [await load('s', of), await load('s', of)];
        one.user = 'kim';
        await save(one);
        await of.touch('s', stale);
        stale.n = 1;
        await save(stale);
        expect(await of.destroyAllOf('robin')).to.equal(0);
        expect((await of.sessionsOf('kim')).map(({ id }) => id)).to.deep.equal(['s']);
        await of.clear();
        expect(await client.keys('*')).to.deep.equal([]);
      }));

    it('are noted as what was saved, when it was saved: destroy after set, changes after set, a way out and back', () =>
      withStore(users, async (of) => {
        for (let i = 0; i < 10; i++) {
          await Promise.all([of.set('d', data({ user: 'bob' }, later())), of.destroy('d')]);
          expect(await client.exists('sess:d')).to.equal(0);
        }
        const object = data({ user: 'ann' }, later());
        const saves = [of.set('q', object), of.set('q', Object.assign(object, { n: 2 }))];
        object.user = 'eve';
        await Promise.all(saves);
        expect(await of.sessionsOf('ann')).to.have.lengthOf(1);
        expect(await of.sessionsOf('eve')).to.have.lengthOf(0);

        await withStore(users, async (other) => {
          for (let i = 0; i < 30; i++) {
            await of.set('l', data({ user: 'log' }, later()));
            const out = await load('l', of);
            delete out.user;
            const leaving = save(out);
            let back = await load('l', other);
            while (back.user) back = await load('l', other);
            back.user = 'log';
            await Promise.all([save(back), leaving]);
            expect(await of.destroyAllOf('log')).to.equal(1);
          }
        });
      }));

    it('keep their note where a save could not read what stands there, and where ttl lengthens the session', async () => {
      const [old, young] = ['the old secret of ours', 'the new secret of ours'];
      await withStore({ ...users, encryption: { secrets: [old] } }, (a) =>
        withStore({ ...users, encryption: { secrets: [young, old] } }, async (b) => {
          await a.set('r', data({ user: 'rot' }, later()));
          const [mine, theirs] = [await load('r', a), await load('r', b)];
          theirs.x = 1;
          await save(theirs);
          mine.y = 1;
          await save(mine);
          expect(await b.get('r')).to.deep.include({ x: 1 });
          expect(await b.destroyAllOf('rot')).to.equal(1);
        }),
      );
      await withStore({ ...users, touchAfter: 300, ttl: (of) => (of.remember ? 3600 : 1) }, async (of) => {
        const object = data({ user: 'ttl' });
        await of.set('t', object);
        await of.set('t', Object.assign(object, { remember: true }));
        expect(await client.pttl(userKey('ttl'))).to.be.above(await client.pttl('sess:t'));
      });
    });

    it('are texts or numbers; null is nobody', () =>
      withStore({ user: (of) => of.userId as number | null }, async (of) => {
        await of.set('1', data({ userId: 7 }));
        await of.set('2', data({ userId: null }));
        for (const user of ['7', 7]) expect((await of.sessionsOf(user)).map(({ id }) => id)).to.deep.equal(['1']);
        expect(await of.sessionsOf(Number.NaN).catch(({ code }) => code)).to.equal('ERR_INTELLIGENT_SESSION_ARGUMENT');
        expect(await client.keys('users:*')).to.deep.equal([userKey('7')]);
      }));

    it('cost as many commands as they have sessions, never a SCAN; without the option it is an error', () =>
      withStore(users, async (of) => {
        for (let i = 0; i < 300; i++) await of.set(`x${i}`, data({ n: i }));
        await of.set('mine', data({ user: 'robin' }));
        await client.config('RESETSTAT');
        await of.sessionsOf('robin');
        await of.destroyAllOf('robin');
        const stats = await client.info('commandstats');
        expect(stats).to.not.match(/cmdstat_scan/);
        expect(stats)
          .to.match(/cmdstat_get:calls=2,/)
          .and.match(/cmdstat_getdel:calls=1,/);
        expect(await store.sessionsOf('robin').catch((error) => error.code)).to.equal(
          'ERR_INTELLIGENT_SESSION_ARGUMENT',
        );
      }));
  });

  it('keeps the users of each prefix to itself, whatever prefixes and users are called', async () => {
    const pairs = [
      ['sess:', 'admin'],
      ['sess:a', 'dmin'],
      ['sess:a:', 'dmin'],
      ['sess:', 'a:dmin'],
      ['sess:', 'a%3Admin'],
      ['sess%3Aa:', 'dmin'],
      ['%sess%3Aa:', 'dmin'],
      ['app', 'x'],
      ['app:', 'x'],
    ] as const;
    const user = (session: { user?: string }) => session.user;
    for (const [i, [prefix, name]] of pairs.entries())
      await withStore({ prefix, user } as never, (of) => of.set(`s${i}`, data({ user: name })));
    for (const [i, [prefix, name]] of pairs.entries())
      await withStore({ prefix, user } as never, async (of) => {
        expect(
          (await of.sessionsOf(name)).map((one) => one.id),
          `${prefix} ${name}`,
        ).to.deep.equal([`s${i}`]);
      });
  });
});
