import { expect } from 'chai';
import type { SessionData } from 'express-session';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { IntelligentSessionError, RedisSessionStore } from '../../lib/index.js';
import { differences, mergeInto } from '../../lib/session/merge-session.js';
import { SessionCodec } from '../../lib/session/session-codec.js';
import { anyText, coded, damaged, damagedBytes, fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.js';

const UNREADABLE = /^ERR_INTELLIGENT_SESSION_UNREADABLE$/;
const secrets = ['a secret of sixteen', 'one that is older'];
const codecOf = (prefix: string, encryption?: { secrets: string[]; acceptPlain?: boolean }) =>
  new SessionCodec({ serializer: JSON as never, encryption } as never, prefix);

const cookie = fc.record({
  originalMaxAge: fc.option(fc.nat()),
  expires: fc.option(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
});
const key = fc.oneof(
  anyText(8),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'cookie', 'id', 'req', 'hash'),
);
/** As JSON has it: `__proto__` is a key like another. */
const sessionText = fc
  .tuple(cookie, fc.array(fc.tuple(key, fc.jsonValue()), { maxLength: 4 }))
  .map(([own, rest]) => JSON.stringify(Object.fromEntries([...rest, ['cookie', own]])));
const session = sessionText.map((text) => JSON.parse(text) as SessionData);
const anyStored = fc.oneof(damaged(sessionText), fc.json(), anyText(60), fc.constantFrom('', 'null', '1', '"x"', '[]'));

describe('fuzz: a stored session', () => {
  const plain = codecOf('sess:');
  const sealed = codecOf('sess:', { secrets });
  const rotated = codecOf('sess:', { secrets: [...secrets].reverse() });
  const elsewhere = codecOf('other:', { secrets });

  it('comes back as it was, in clear and encrypted, and never under another id or prefix', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(fc.tuple(session, anyText(), anyText()), async ([one, sid, other]) => {
      const text = plain.stringify(one);
      expect(await plain.read(plain.decrypt(sid, plain.encrypt(sid, text)) as string)).to.deep.equal(one);
      const stored = sealed.encrypt(sid, text);
      expect(sealed.decrypt(sid, stored)).to.equal(text);
      expect(rotated.decrypt(sid, stored), 'rotated').to.equal(text);
      expect(elsewhere.decrypt(sid, stored), 'another prefix').to.equal(undefined);
      if (Buffer.from(other).compare(Buffer.from(sid)) !== 0)
        expect(sealed.decrypt(other, stored), 'another id').to.equal(undefined);
    });
  });

  it('that is damaged is read whole or not at all; encrypted, not at all', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const record = session.map((one) => sealed.encrypt('sid', JSON.stringify(one)));
    const broken = fc.oneof(
      damaged(record),
      damagedBytes(record.map((text) => Buffer.from(text.slice(3), 'base64url'))).map(
        (bytes) => `e2.${bytes.toString('base64url')}`,
      ),
    );
    const tolerant = codecOf('sess:', { secrets, acceptPlain: true });
    await fuzz(fc.tuple(anyStored, broken), async ([text, stored]) => {
      const read = await coded(() => plain.read(text), UNREADABLE);
      // what has no cookie, or none that express-session can take, is given one
      if (read !== undefined) expect({ ...read, cookie: 0 }).to.deep.equal({ ...JSON.parse(text), cookie: 0 });
      const opened = sealed.decrypt('sid', stored);
      if (opened !== undefined)
        expect(sealed.decrypt('sid', `e2.${Buffer.from(stored.slice(3), 'base64url').toString('base64url')}`)).to.equal(
          opened,
        );
      for (const codec of [sealed, elsewhere]) expect(codec.decrypt('sid', text) ?? '').to.equal('');
      expect(tolerant.decrypt('sid', text)).to.equal(text);
    });
  });

  it('that two requests changed has the changes of both, and nobody’s prototype', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(fc.tuple(session, session, sessionText), ([loaded, saved, current]) => {
      const merged = JSON.parse(current);
      mergeInto(merged, { loaded, saved, keys: differences(loaded, saved), unanswered: [] });
      const [before, own, other] = [loaded, saved, JSON.parse(current)].map(
        (one) => ({ ...one }) as Record<string, unknown>,
      );
      expect(Object.getPrototypeOf(merged)).to.equal(Object.prototype);
      for (const name of new Set([before, own, other].flatMap((one) => Object.keys(one as object)))) {
        if (name === 'cookie') continue;
        const valueIn = (one: object | undefined) =>
          JSON.stringify(Object.getOwnPropertyDescriptor(one ?? {}, name)?.value);
        const changed = valueIn(loaded) !== valueIn(saved);
        if (changed) expect(valueIn(merged), name).to.equal(valueIn(saved));
        else expect(valueIn(merged), name).to.equal(valueIn(JSON.parse(current)));
      }
    });
    expect(({} as { polluted?: unknown }).polluted).to.equal(undefined);
  });
});

describe('fuzz: what stands in Redis where a session should', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const stores: RedisSessionStore[] = [];
  const faults: Error[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    const more = [
      {},
      { encryption: { secrets } },
      { nearCache: {} },
      { user: (one: any) => one.user, maxSessionsPerUser: 2 },
    ];
    for (const options of more) {
      const store = new RedisSessionStore({ url: redis.url, ...options });
      store.on('fault', (error) => faults.push(error));
      stores.push(store);
      await store.set('neighbour', JSON.parse('{"cookie":{},"theirs":1}'));
      await client.unlink('sess:neighbour');
    }
    await client.set('sess:neighbour', '{"cookie":{},"theirs":1}');
  });
  after(async () => {
    for (const store of stores) await store.close();
    client?.disconnect();
    await redis?.stop();
  });

  it('is a session or none: read, renewed, changed and destroyed without an error but ours', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const bytes = fc.oneof(
      anyStored.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 60 }).map((one) => Buffer.from(one)),
      damagedBytes(sessionText.map((text) => Buffer.from(text))),
    );
    await fuzz(
      bytes,
      async (stored) => {
        faults.length = 0;
        const visit = async (store: RedisSessionStore, i: number) => {
          const sid = `sid-${i}`;
          await client.set(`sess:${sid}`, stored);
          const found = await coded(() => store.get(sid));
          await coded(() => store.touch(sid, found ?? JSON.parse('{"cookie":{}}')));
          if (found) {
            expect(Array.isArray(found), 'no list').to.equal(false);
            Object.assign(found, { changed: 1 });
            await coded(() => store.set(sid, found));
          }
          await store.destroy(sid);
          expect(await client.exists(`sess:${sid}`)).to.equal(0);
        };
        await Promise.all(stores.map(visit));
        for (const fault of faults) expect(fault, fault.stack).to.be.instanceOf(IntelligentSessionError);
        expect(await client.get('sess:neighbour')).to.equal('{"cookie":{},"theirs":1}');
      },
      { examples: [Buffer.from('[]'), Buffer.from('[{"cookie":{}}]')] },
    );
  });
});
