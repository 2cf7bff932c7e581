import { createCipheriv, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { storedItems, storedItemsIn } from '../../lib/intelligence/command/stored-item.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { isUserSubject, userSubject } from '../../lib/intelligence/command/subject.js';

interface Vectors {
  readonly secret: string;
  readonly key: string;
  readonly items: readonly { readonly item: string; readonly fingerprint: string }[];
  readonly keyed: readonly { readonly subject: string; readonly item: string; readonly stored: string }[];
  readonly users: readonly { readonly user: string; readonly hashed: string; readonly keyed: string }[];
}
const vectors: Vectors = JSON.parse(readFileSync(new URL('../vectors/stored-items.json', import.meta.url), 'utf8'));
const itemKey = itemKeyOf(vectors.secret) as string;
const plain = storedItems(undefined);
const keyed = storedItems(itemKey);

describe('what stands for an item in what is kept of a subject', () => {
  it('is what the test vectors say', () => {
    expect(itemKey).to.equal(vectors.key);
    expect(vectors.items.length).to.be.above(5);
    for (const { item, fingerprint } of vectors.items) expect(plain.of('anyone', item), item).to.equal(fingerprint);
    expect(vectors.keyed.length).to.be.above(3);
    for (const { subject, item, stored } of vectors.keyed) expect(keyed.of(subject, item), item).to.equal(stored);
    expect(vectors.users.length).to.be.above(1);
    for (const { user, ...forms } of vectors.users)
      expect({ hashed: userSubject(user, undefined), keyed: userSubject(user, itemKey) }, user).to.deep.equal(forms);
  });

  it('is, with a secret, one block of AES as WIRE.md says it', () => {
    const hmac = (text: string) => createHmac('sha256', itemKey).update(text).digest();
    const fingerprint = hmac('intelligent-session item:/news/1').subarray(0, 8);
    const cipher = createCipheriv('aes-256-ecb', hmac('intelligent-session subject:a%3Ab'), null).setAutoPadding(false);
    const block = cipher.update(Buffer.concat([fingerprint, Buffer.alloc(8)]));
    expect(keyed.of('a:b', '/news/1')).to.equal(`#${block.toString('base64url')}`);
  });

  it('is found again in a list of both forms, without anything between', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.boolean()), { maxLength: 5 }), (all) => {
        const items = all.map(([item, isKeyed]) => (isKeyed ? keyed : plain).of('visitor', item));
        expect(storedItemsIn(items.join(''))).to.deep.equal(items);
      }),
    );
  });

  it('has the form of one that was kept, and moves from one subject to another by who has the secret', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ minLength: 1 }),
        fc.string({ minLength: 1 }),
        (item, from, to) => {
          expect(plain.of(from, item)).to.match(/^[\w-]{11}$/);
          const stored = keyed.of(from, item);
          expect(stored).to.match(/^#[\w-]{22}$/);
          expect([keyed.of(from, stored), plain.of(from, stored)], 'keyed already').to.deep.equal([stored, stored]);
          expect(keyed.moved([stored], from, to)).to.deep.equal([keyed.of(to, item)]);
          expect(plain.moved([plain.of(from, item)], from, to)).to.deep.equal([plain.of(to, item)]);
          expect(plain.moved([stored], from, to)).to.equal(undefined);
        },
      ),
    );
  });

  it('does not move where it was made for another subject, or with another secret', () => {
    const others = [
      keyed.of('b', '/a'),
      storedItems('another secret of mine').of('a', '/a'),
      '#AAAAAAAAAAAAAAAAAAAAAA',
    ];
    expect(keyed.moved([...others, keyed.of('a', '/b')], 'a', 'user')).to.deep.equal([keyed.of('user', '/b')]);
  });
});

describe('a user’s subject', () => {
  it('is told from every other subject by its form', () => {
    for (const one of [undefined, itemKey]) expect(isUserSubject(userSubject('robin', one))).to.equal(true);
    for (const sid of ['', '~', 'a'.repeat(44), `${'a'.repeat(44)}~`, 'a'.repeat(43)])
      expect(isUserSubject(sid)).to.equal(false);
  });
});
