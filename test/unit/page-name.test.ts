import { expect } from 'chai';
import fc from 'fast-check';
import { pageNames } from '../../middleware/page-name.js';

const nameOf = pageNames();

describe('the name of a page', () => {
  const spellings: [name: string, ...spelled: string[]][] = [
    ['/caf%C3%A9', '/café', '/caf%C3%A9', '/caf%c3%a9', '/caf%C3%a9'],
    ['/a%20b', '/a b', '/a%20b'],
    ['/~user/a-b_c.d', '/%7Euser/a%2Db%5fc%2Ed', '/%7euser/a-b_c.d'],
    ['/news/1', '/news/1/', '/news/1//', '/news/./1', '/news/x/../1', '/news/%2e%2E/news/1', '/../news/1', '/news/1/.'],
    ['/x', 'http://host/x', 'HTTPS://host:8080/x', 'http://host/x?y#z', '/x?y', '/x#z', '/x?', '/x/?y'],
    ['/', '/', 'http://host', 'http://host?x', 'http://host#x', '/.', '/..', '//', '/?q', '/a/..'],
    ['/a%2Fb', '/a%2Fb', '/a%2fb'],
    ['/100%25', '/100%', '/100%25'],
    ['/%25zz%254', '/%zz%4', '/%25zz%254', '/%zz%%34'],
    ['/%E9', '/%E9', '/%e9'],
    ['/%EF%BF%BD', '/\ud800', '/\udfff', '/\ufffd'],
    ['/%F0%9F%98%80', '/😀', '/%f0%9f%98%80'],
    ['/a//b', '/a//b', '/a//b/'],
    ["/:id(*)!$&'*+,;=@", "/:id(*)!$&'*+,;=@"],
    ['/%22%3C%3E%5C%5E%60%7B%7C%7D', '/"<>\\^`{|}'],
    ['product:42', 'product:42'],
    ['a b/%7e/../?x#y', 'a b/%7e/../?x#y'],
    // it would pass for an item that is keyed
    ['%23abcdefghijklmnopqrstu-', '#abcdefghijklmnopqrstu-', '%23abcdefghijklmnopqrstu-'],
    ['#news', '#news'],
  ];
  for (const [name, ...spelled] of spellings)
    it(`is ${name} for ${spelled.map((one) => JSON.stringify(one)).join(', ')}`, () => {
      expect(spelled.map(nameOf)).to.deep.equal(spelled.map(() => name));
    });

  it('keeps the case, and what RFC 3986 keeps apart', () => {
    const apart = ['/v/dQw4', '/v/DQW4', '/a%2Fb', '/a/b', '/a;b', '/a%3Bb', '/a//b'];
    expect(new Set(apart.map(nameOf)).size).to.equal(apart.length);
  });

  it('has the slash at its end where that is asked for', () => {
    const strict = pageNames({ strict: true });
    expect(['/news/1/', '/news/1', '/', '/a/.', '/a/b/..', '/%7e/'].map(strict)).to.deep.equal([
      '/news/1/',
      '/news/1',
      '/',
      '/a/',
      '/a/',
      '/~/',
    ]);
  });

  it('has the parameters that were named, in one order, whatever else the query says', () => {
    const withQuery = pageNames({ query: ['id', 'filter[brand]', 'á'] });
    const name = '/p?filter%5Bbrand%5D=a%20b%2Fc&id=2&id=1';
    for (const spelled of [
      '/p?id=2&filter[brand]=a+b/c&id=1',
      '/p/?utm_source=x&id=2&id=1&filter%5bbrand%5D=a%20b%2fc&&=#id=3',
      'http://host/p?filter%5Bbrand]=a%20b/c&id=%32&id=1&ID=4',
    ])
      expect(withQuery(spelled)).to.equal(name);
    expect(['/p?id', '/p?id=', '/p?utm=1', '/p?', '/?%C3%A1=%'].map(withQuery)).to.deep.equal([
      '/p?id=',
      '/p?id=',
      '/p',
      '/p',
      '/?%C3%A1=%25',
    ]);
  });

  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('/', '.', '%', '2', 'e', 'E', '7', '?', '&', '=', '#', '+', 'é', '\ud83d', '\ude00'),
    }),
    fc.webUrl({ withFragments: true, withQueryParameters: true }),
  );
  const options = fc.record({ strict: fc.boolean(), query: fc.array(fc.constantFrom('id', 'e', '2', '%', 'é')) });

  it('is found for any text, and is its own name', () => {
    fc.assert(
      fc.property(hostile, fc.constantFrom('', '/', 'http://host'), options, (text, start, how) => {
        const names = pageNames(how);
        const name = names(start + text);
        expect(names(name)).to.equal(name);
      }),
      { numRuns: 2000 },
    );
  });

  it('costs no more to find than to read, however long the text', () => {
    const withQuery = pageNames({ query: ['id'] });
    for (const part of ['é', '%41', '/..', '/a', '"a', '?id=%41', '&id=é', '&%69d=1', '&']) {
      const start = part.startsWith('&') ? '/p?x' : '/p';
      const text = start + part.repeat(1_000_000 / part.length);
      for (const names of [nameOf, withQuery]) {
        const began = process.cpuUsage().user;
        const name = names(text);
        expect((process.cpuUsage().user - began) / 1000, `${part}: ms of CPU`).to.be.below(100);
        expect(Buffer.byteLength(name)).to.be.at.most(1024);
        expect(names(name), 'a name stays as it is').to.equal(name);
        const counts = part === '&' ? false : names === withQuery || !text.includes('?');
        expect(names(`${text}z`) === name, 'another page').to.equal(!counts);
      }
    }
  });

  it('is that of its path, whatever a long query says that does not count', () => {
    expect(nameOf(`/news/1/?${'utm=%41&'.repeat(10_000)}`)).to.equal('/news/1');
  });

  it('is that of its path and the parameters that count, whatever a long query says besides', () => {
    const withQuery = pageNames({ query: ['q', 'é'] });
    for (const part of ['a', '&utm=1', '&x%41', '&q%41=1', '&'])
      for (const spelled of [
        `/p?q=1&%C3%A9=2&utm=${part.repeat(5000)}`,
        `/p/?utm=${part.repeat(5000)}&é=2&%71=1`,
        `/p?é=2&utm=${part.repeat(5000)}&q=1`,
      ])
        expect(withQuery(spelled), `${part}: ${spelled.slice(0, 20)}`).to.equal('/p?%C3%A9=2&q=1');
    const long = (q: string, utm: string) => withQuery(`/p?utm=${utm.repeat(5000)}&q=${q.repeat(5000)}`);
    expect(long('a', 'b'))
      .to.equal(long('a', 'c'))
      .and.match(/^\/p~[\w-]{43}$/);
    expect(long('a', 'b')).to.not.equal(long('b', 'b'));
  });

  it('is the same for whatever is encoded that need not be, and however it is encoded', () => {
    const segment = fc.string({
      unit: fc.constantFrom('a', 'Z', '0', '-', '_', '~', 'é', '😀', ' ', '"'),
      minLength: 1,
    });
    const spell = (text: string, how: readonly number[]) =>
      Array.from(text, (character, i) => {
        const mode = how[i % how.length] as number;
        if (mode === 0) return character;
        const hex = Buffer.from(character).toString('hex');
        return (mode === 1 ? hex : hex.toUpperCase()).replace(/../g, (byte) => `%${byte}`);
      }).join('');
    const modes = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1 }), modes, modes, (segments, one, other) => {
        const spelled = (how: readonly number[]) => `/${segments.map((text) => spell(text, how)).join('/')}`;
        expect(nameOf(spelled(one))).to.equal(nameOf(`${spelled(other)}/`));
      }),
    );
  });
});
