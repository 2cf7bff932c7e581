import { expect } from 'chai';
import type { SessionData } from 'express-session';
import type { RedisSessionStoreOptions } from '../../lib/index.js';
import { hiddenOf, hide } from '../../lib/session/hidden-fields.js';
import { data, load, modes, save, StoreGround, tagged, users } from '../support/stores.js';
import { until } from '../support/until.js';

const madeAt = 1_700_000_000_000;
const field = '__madeAt';
const secrets = ['a secret of this test alone'];

describe('the hidden fields of a stored session', () => {
  const ground = new StoreGround();
  const { open, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
  });

  const put = (sid: string, more: object = {}, end?: number) =>
    client.set(`sess:${sid}`, JSON.stringify({ [field]: madeAt, ...data(more, end) }), 'PX', 100_000);

  it('are shown by no method of the store', async () => {
    const store = open(users);
    await put('s', { n: 1, user: 'robin' });
    const page = await load('s', store);
    await save(page); // robin’s session is noted
    const shown: object[] = [page, (await store.get('s')) as object, ...(await store.all())];
    shown.push(...(await store.sessionsOf('robin')));
    for await (const session of store.scanSessions()) shown.push(session);
    await new Promise((resolve) => page.reload(resolve));
    shown.push((page as unknown as { req: { session: object } }).req.session);
    expect(shown).to.have.lengthOf(6);
    for (const session of shown) {
      expect(session).to.include({ n: 1 });
      expect(Reflect.ownKeys(session)).to.not.include(field);
      expect(JSON.stringify(session)).to.not.include(field);
    }
  });

  const options: Record<string, RedisSessionStoreOptions> = {
    'as it is': {},
    'with a near cache': { nearCache: {} },
    'without touches': { disableTouch: true },
    'encrypted, from plain': { encryption: { secrets, acceptPlain: true } },
  };
  for (const saveMode of modes) options[`in the mode ${saveMode}`] = { saveMode };
  for (const [name, given] of Object.entries(options))
    it(`are kept by saves and touches, ${name}`, async () => {
      const store = open({ touchAfter: given.disableTouch ? undefined : 0, ...given });
      await put('k', { n: 1 }, 50_000);
      for (const n of [2, 3]) {
        const page = await load('k', store);
        page.n = n;
        await save(page);
        page.touch();
        await store.touch('k', page);
        page.m = n;
        await save(page);
        expect(hiddenOf(page)).to.deep.equal({ [field]: madeAt });
      }
      const found = (await store.get('k')) as SessionData;
      expect(found).to.include({ n: 3, m: 3 });
      expect(hiddenOf(found)).to.deep.equal({ [field]: madeAt });
      if (!given.encryption) expect(await stored('k')).to.include({ [field]: madeAt });
    });

  it('go through a serializer of the application, which gets the session’s id and methods as ever', async () => {
    const seen: unknown[] = [];
    const serializer = {
      parse: tagged.parse,
      stringify: (session: SessionData & { id?: string; req?: object }) => {
        seen.push([session.id, typeof session.req, Object.keys(session)]);
        return tagged.stringify(session);
      },
    };
    const store = open({ serializer });
    await client.set('sess:t', tagged.stringify({ ...data({ when: new Date(5) }), [field]: madeAt } as SessionData));
    const [one, two] = [await load('t', store), await load('t', store)];
    one.a = 1;
    two.b = 2;
    await Promise.all([save(one), save(two)]);
    expect(seen[0]).to.deep.equal(['t', 'object', ['cookie', 'when', 'a', field]]);
    expect(tagged.parse((await client.get('sess:t')) as string)).to.deep.include({
      when: new Date(5),
      a: 1,
      b: 2,
      [field]: madeAt,
    });
    expect(one).to.not.have.property(field);
  });

  it('are kept where many saves are merged; one that a request changes is changed, whoever saves beside it', async () => {
    const store = open();
    await put('m', { n: 0 });
    const pages = await Promise.all(Array.from({ length: 20 }, () => load('m', store)));
    hide(pages[7] as object, { [field]: madeAt + 7 });
    for (const [i, page] of pages.entries()) page[`k${i}`] = i;
    await Promise.all(pages.map(save));
    expect(await stored('m')).to.deep.include({ [field]: madeAt + 7, k0: 0, k19: 19 });
  });

  it('two requests that set one at once: the first stays', async () => {
    const store = open();
    await client.set('sess:f', JSON.stringify(data({ n: 0 })));
    const [one, two] = [await load('f', store), await load('f', store)];
    hide(one, { [field]: 1 });
    one.n = 1;
    await save(one);
    hide(two, { [field]: 2 });
    two.m = 2;
    await save(two);
    expect(await stored('f')).to.include({ [field]: 1, n: 1, m: 2 });
  });

  it('are no conflict', async () => {
    const store = open({ saveMode: 'reject' });
    await put('c', { n: 0 });
    const [one, two] = [await load('c', store), await load('c', store)];
    hide(one, { [field]: madeAt + 1 });
    await save(one);
    two.n = 2;
    await save(two);
    expect(await stored('c')).to.include({ [field]: madeAt + 1, n: 2 });
  });

  it('a value of the application under a reserved name is not stored, and a wrong one in Redis is not taken', async () => {
    for (const given of [{}, { serializer: tagged }]) {
      const store = open(given);
      await store.set('own', data({ n: 1, [field]: 5 }));
      expect(await client.get('sess:own'))
        .to.include('"n":1')
        .and.not.include(field);
      const page = await load('own', store);
      hide(page, { [field]: madeAt });
      Object.assign(page, { [field]: 5 });
      await save(page);
      expect(await client.get('sess:own'))
        .to.include(`"${field}":${madeAt}`)
        .and.not.include(`"${field}":5`);
      await client.flushdb();
    }
    const store = open();
    await client.set('sess:wrong', JSON.stringify(data({ n: 1, [field]: { a: 1 } })));
    const page = await load('wrong', store);
    expect(page).to.not.have.property(field);
    expect(hiddenOf(page)).to.deep.equal({});
  });

  it('of one session are not those of the next: regenerate() begins without', async () => {
    const store = open();
    await put('r', { n: 1 });
    const page = await load('r', store);
    const { req } = page as unknown as { req: { sessionID: string; session: SessionData } };
    Object.assign(store, {
      generate: (request: typeof req) => Object.assign(request, { sessionID: 'next', session: data({ n: 2 }) }),
    });
    await new Promise((resolve) => store.regenerate(req as never, resolve));
    await store.set('next', req.session);
    await until('the old one is gone', async () => (await stored('r')) === null);
    expect(await stored('next'))
      .to.include({ n: 2 })
      .and.not.have.property(field);
  });
});
