import { expect } from 'chai';
import { data, load, save, StoreGround } from '../support/stores.js';

describe('RedisSessionStore', () => {
  const ground = new StoreGround();
  const { withStore } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
  });

  describe('encryption', () => {
    const secrets = ['the first secret, long'];
    it('leaves nothing to read, and is bound to the session’s id', () =>
      withStore({ encryption: { secrets } }, async (of) => {
        await of.set('e', data({ card: '4111 1111' }));
        const raw = (await client.get('sess:e')) as string;
        expect(raw).to.match(/^e2\.[\w-]+$/);
        expect(await of.get('e')).to.deep.include({ card: '4111 1111' });
        await client.set('sess:other', raw);
        expect(await of.get('other')).to.equal(null);
        const [one, two] = [await load('e', of), await load('e', of)];
        one.a = 1;
        two.b = 2;
        await Promise.all([save(one), save(two)]);
        expect(await of.get('e')).to.deep.include({ card: '4111 1111', a: 1, b: 2 });
      }));

    it('takes a record that was copied from another prefix, or to another id, as absent', async () => {
      await withStore({ prefix: 'admin:', encryption: { secrets } }, (of) => of.set('one', data({ role: 'admin' })));
      const raw = (await client.get('admin:one')) as string;
      for (const key of ['sess:one', 'sess:two', 'admin:two']) await client.set(key, raw);
      await withStore({ prefix: 'admin:', encryption: { secrets } }, async (of) => {
        expect(await of.get('one')).to.deep.include({ role: 'admin' });
        expect(await of.get('two')).to.equal(null);
      });
      await withStore({ encryption: { secrets } }, async (of) => {
        for (const sid of ['one', 'two']) expect(await of.get(sid), sid).to.equal(null);
      });
    });

    it('reads what an older secret wrote, and takes anything else as absent, with an event and no content', async () => {
      await withStore({ encryption: { secrets } }, (of) => of.set('old', data({ n: 'private' })));
      await client.set('sess:plain', JSON.stringify(data({ n: 'private' })));
      const raw = (await client.get('sess:old')) as string;
      await client.set('sess:damaged', `${raw.slice(0, -3)}AAA`);
      await client.set('sess:short', 'e2.AAAA');
      const rotated = ['the second secret, long', ...secrets];
      await withStore({ encryption: { secrets: rotated } }, async (of) => {
        const faults: Error[] = [];
        of.on('fault', (error) => faults.push(error));
        expect(await of.get('old')).to.deep.include({ n: 'private' });
        for (const id of ['damaged', 'short', 'plain']) expect(await of.get(id)).to.equal(null);
        expect(faults).to.have.lengthOf(3);
        for (const { message } of faults) expect(message).to.not.match(/private|damaged:|sess:/);
        expect(await of.metrics.metrics()).to.match(/event="unreadable"\} 3/);
      });
      await withStore({ encryption: { secrets: ['the second secret, long'] } }, async (of) =>
        expect(await of.get('old')).to.equal(null),
      );
      await withStore({ encryption: { secrets, acceptPlain: true } }, async (of) => {
        const session = await load('plain', of);
        session.n = 'sealed';
        await save(session);
        expect(await client.get('sess:plain')).to.match(/^e2\./);
      });
    });
  });
});
