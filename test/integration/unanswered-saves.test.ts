import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import { data, load, modes, neverSent, save, StoreGround, told, unanswered, users } from '../support/stores.js';
import { until } from '../support/until.js';

describe('a save of RedisSessionStore', () => {
  const ground = new StoreGround();
  const { open, openFar, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
  });

  describe('behind another of the same page', () => {
    const flash = (session: (Session & SessionData) | SessionData, text: string) =>
      Object.assign(session, { flash: text });

    for (const saveMode of modes)
      it(`does not wait for its answer: a new session, and one that was read (${saveMode})`, async () => {
        const { proxy, store } = await openFar({ saveMode, ...users });
        const events = told(store);
        const fresh = data({ user: 'robin' }, 50_000);
        await store.set('old', data({ n: 0 }, 50_000));
        const read = await load('old', store);
        read.n = 1;
        await save(read);
        proxy.holdAnswers();
        const saves = [store.set('new', fresh), store.set('new', flash(fresh, 'one')), save(read)];
        flash(read, 'two');
        saves.push(save(read), store.set('new', flash(fresh, 'three')));
        await until('all are stored', async () => {
          const [one, two] = [await stored('new'), await stored('old')];
          return one?.flash === 'three' && two?.flash === 'two';
        });
        proxy.release();
        await Promise.all(saves);
        await store.set('new', flash(fresh, 'four'));
        expect(await stored('new')).to.deep.include({ flash: 'four', user: 'robin' });
        expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal(['new']);
        expect(events.filter((one) => !one.endsWith('old'))).to.deep.equal(['created new']);
        expect(events.filter((one) => /conflict|refused/.test(one))).to.deep.equal([]);
      });

    it('is made again in its turn where that one was merged, is gone, or got no answer', async () => {
      const far = await openFar();
      const near = open();
      await far.store.set('s', data({ n: 0 }, 50_000));
      const [merging, other] = [await load('s', far.store), await load('s', near)];
      other.theirs = true;
      await save(other);
      merging.n = 1;
      const first = save(merging);
      merging.flash = 'x';
      await Promise.all([first, save(merging)]);
      expect(await stored('s')).to.deep.include({ n: 1, flash: 'x', theirs: true });

      const session = await load('s', far.store);
      const both = () => {
        session.n = 3;
        const one = save(session);
        session.n = 4;
        const two = save(session);
        one.catch(() => {});
        return two;
      };
      await unanswered(far, both, async () => (await stored('s'))?.n === 4);
      Object.assign(session, { n: 0 });
      delete session.flash;
      await save(session);
      expect(await stored('s'))
        .to.deep.include({ n: 0, theirs: true })
        .and.not.have.property('flash');

      await near.destroy('s');
      session.n = 5;
      const gone = save(session);
      session.n = 6;
      await Promise.all([gone, save(session)]);
      expect(await stored('s')).to.equal(null);
    });
  });

  describe('that got no answer', () => {
    for (const saveMode of modes)
      it(`is this request’s own: what it takes back is taken back (${saveMode})`, async () => {
        const far = await openFar({ saveMode });
        const events = told(far.store);
        await far.store.set('u', data({ n: 0, removed: 'x', same: 1 }, 50_000));
        const session = await load('u', far.store);
        const change = () => {
          Object.assign(session, { n: 1, added: true });
          delete session.removed;
          return save(session);
        };
        await unanswered(far, change, async () => (await stored('u'))?.n === 1);
        Object.assign(session, { n: 0, removed: 'x' });
        delete session.added;
        await save(session);
        expect(await stored('u'))
          .to.deep.include({ n: 0, removed: 'x', same: 1 })
          .and.not.have.property('added');
        session.n = 2;
        await save(session);
        expect(await stored('u')).to.deep.include({ n: 2 });
        expect(events).to.deep.equal(['created u']);
      });

    it('is its own where another went on from it, too: the other’s change is kept', async () => {
      const far = await openFar();
      const near = open();
      const events = told(far.store);
      await far.store.set('u', data({ n: 0, removed: 'x' }, 50_000));
      const session = await load('u', far.store);
      const change = () => {
        session.n = 1;
        delete session.removed;
        return save(session);
      };
      await unanswered(
        far,
        change,
        async () => (await stored('u'))?.n === 1,
        async () => {
          const other = await load('u', near);
          other.theirs = true;
          await save(other);
        },
      );
      Object.assign(session, { n: 0, removed: 'x' });
      await save(session);
      expect(await stored('u')).to.deep.include({ n: 0, removed: 'x', theirs: true });
      expect(events).to.deep.equal(['created u', 'conflict u']);
    });

    it('may be the second, or over a merge, or one that was never carried out', async () => {
      const far = await openFar();
      const near = open();
      await far.store.set('u', data({ n: 0, a: 0 }, 50_000));
      const [session, other] = [await load('u', far.store), await load('u', near)];
      other.theirs = true;
      await save(other);
      session.a = 1;
      await save(session); // merged
      for (const [n, lost] of [[1, true] as const, [2, false] as const, [3, true] as const]) {
        session.n = n;
        if (lost) await neverSent(far, () => save(session));
        else
          await unanswered(
            far,
            () => save(session),
            async () => (await stored('u'))?.n === n,
          );
      }
      Object.assign(session, { n: 0, a: 0 });
      await save(session);
      expect(await stored('u')).to.deep.include({ n: 0, a: 0, theirs: true });
    });

    for (const saveMode of modes) {
      it(`of a new session: the next goes over it, carried out or not (${saveMode})`, async () => {
        const far = await openFar({ saveMode });
        const events = told(far.store);
        const session = data({ n: 1, added: true }, 50_000);
        await unanswered(
          far,
          () => far.store.set('f', session),
          async () => (await stored('f')) !== null,
        );
        delete session.added;
        await far.store.set('f', Object.assign(session, { n: 0 }));
        expect(await stored('f'))
          .to.deep.include({ n: 0 })
          .and.not.have.property('added');
        const other = data({ n: 1 });
        await neverSent(far, () => far.store.set('g', other));
        expect(await stored('g')).to.equal(null);
        await far.store.set('g', other);
        await far.store.set('g', Object.assign(other, { n: 2 }));
        expect(await stored('g')).to.deep.include({ n: 2 });
        expect(events).to.deep.equal(['created f', 'created g']);
      });

      it(`of a new session that was destroyed elsewhere since does not come back (${saveMode})`, async () => {
        const far = await openFar({ saveMode, ...users });
        const near = open(users);
        const events = told(far.store);
        for (const end of [() => near.destroy('f'), () => near.destroyAllOf('robin')]) {
          const session = data({ user: 'robin', n: 1 }, 50_000);
          await unanswered(
            far,
            () => far.store.set('f', session),
            async () => (await stored('f')) !== null,
            end,
          );
          await far.store.set('f', Object.assign(session, { n: 2 }));
          expect(await stored('f')).to.equal(null);
          expect(await near.sessionsOf('robin')).to.deep.equal([]);
          await client.flushall();
        }
        expect(events).to.deep.equal(['refused f', 'refused f']);
      });
    }

    it('of a new session that another changed since: both are kept; with saveMode reject that is a conflict', async () => {
      for (const saveMode of ['merge', 'reject'] as const) {
        const far = await openFar({ saveMode });
        const near = open();
        const session = data({ n: 1, added: true }, 50_000);
        await unanswered(
          far,
          () => far.store.set('f', session),
          async () => (await stored('f')) !== null,
          async () => {
            const other = await load('f', near);
            other.theirs = true;
            await save(other);
          },
        );
        delete session.added;
        const again = await far.store.set('f', Object.assign(session, { n: 0 })).catch((error) => error.status);
        if (saveMode === 'reject') expect(again).to.equal(409);
        else
          expect(await stored('f'))
            .to.deep.include({ n: 0, theirs: true })
            .and.not.have.property('added');
        await client.flushall();
      }
    });
  });
});
