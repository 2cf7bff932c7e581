import { expect } from 'chai';
import fc from 'fast-check';
import { OptionError } from '../../lib/errors/errors.js';
import { isLink } from '../../lib/notifications/link.js';
import {
  checkChanges,
  checkNewNotification,
  formatContent,
  type NewNotification,
} from '../../lib/notifications/notification.js';
import { parseList, toNotification, visibleItems } from '../../lib/notifications/stored-list.js';

const later = (ms: number) => new Date(Date.now() + ms);
const DAY_MS = 86_400_000;

describe('the link of a notification', () => {
  for (const link of [
    '/',
    '/sale?day=1#top',
    'https://shop.example/a',
    'HTTP://shop.example',
    'http://[::1]:80/',
    '/%5Cx',
  ])
    it(`may be ${link}`, () => expect(isLink(link)).to.equal(true));

  const refused = [
    ...[
      '',
      'sale',
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'data:text/html,x',
      'vbscript:x',
      'ftp://x/',
      'mailto:a@b',
    ],
    ...[
      '//evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      'https:\\\\evil.example',
      'https:evil.example',
      'https:///evil',
    ],
    ...[
      '/\t/evil.example',
      '/\n/evil.example',
      ' /a',
      'java\nscript:alert(1)',
      '\u0000/a',
      '/a\u202e',
      '/a b',
      '/\ud800',
    ],
    ...['https://shop.example@evil.example/', 'https://user:pass@shop.example/', 'http://', 'https://a:99999/'],
  ];
  for (const link of refused) it(`is refused: ${JSON.stringify(link)}`, () => expect(isLink(link)).to.equal(false));

  it('leads to the site itself or by http or https, whatever its text', () => {
    const part = fc.constantFrom(
      ...[
        '/',
        '//',
        '\\',
        ':',
        '@',
        '\t',
        '\n',
        ' ',
        '\u0001',
        'javascript',
        'http',
        'https',
        'evil.example',
        '?',
        '#',
        '.',
        '%2f',
      ],
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const link = parts.join('');
        if (!isLink(link)) return;
        const { protocol, host } = new URL(link, 'https://site.example/page');
        expect(protocol).to.match(/^https?:$/);
        if (link.startsWith('/')) expect(host).to.equal('site.example');
      }),
    );
  });
});

describe('a notification', () => {
  const wrong: [title: string, notification: unknown, message: RegExp][] = [
    ['nothing', undefined, /a notification, an object with a title, got undefined/],
    ['a text', 'hello', /a notification, an object with a title, got a text/],
    ['no title', { body: 'x' }, /a title, a text, got undefined/],
    ['an empty title', { title: '' }, /a title, a text, got an empty text/],
    ['a body that is no text', { title: 'x', body: 1 }, /a body, a text, got 1/],
    ['a link that runs', { title: 'x', link: 'javascript:alert(1)' }, /a link by http or https/],
    ['a field that there is not', { title: 'x', text: 'y' }, /no field "text"; a notification may have id, title,/],
    ['an id that is the list’s own', { id: ':', title: 'x' }, /a notification's id/],
    ['an id that is too long', { id: 'x'.repeat(129), title: 'x' }, /1 to 128 characters/],
    ['an id with half a character', { id: '\ud800', title: 'x' }, /a notification's id/],
    ['an expiry as a text', { title: 'x', expires: '2030-01-01' }, /"expires" to be a Date, got a text/],
    ['no date', { title: 'x', publishAt: new Date(Number.NaN) }, /"publishAt" to be a Date/],
    ['an expiry that is past', { title: 'x', expires: later(-1) }, /"expires" to be a time to come/],
    ['an expiry before it is seen', { title: 'x', publishAt: later(2e6), expires: later(1e6) }, /after "publishAt"/],
    ['a time in years', { title: 'x', publishAt: later(401 * DAY_MS) }, /within 400 days/],
  ];
  for (const [title, notification, message] of wrong)
    it(`with ${title} is refused by a coded error that names it`, () => {
      expect(() => checkNewNotification('publish', notification))
        .to.throw(OptionError, message)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
    });

  it('may be edited in its own fields only', () => {
    checkChanges('edit', { title: 'x', body: null, link: null, data: null, expires: null });
    for (const changes of [{ id: 'x' }, { publishAt: later(1000) }, { title: '' }, { link: '//x' }, null, 'x'])
      expect(() => checkChanges('edit', changes)).to.throw(OptionError);
  });

  it('is refused beyond its bytes, and with data that JSON can’t say', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    for (const data of [1n, () => 1, circular, Symbol('x')])
      expect(() => formatContent('publish', 'id', { title: 'x', data }, 4096)).to.throw(
        OptionError,
        /what JSON can say/,
      );
    expect(formatContent('publish', 'id', { title: 'x'.repeat(84) }, 100)).to.have.lengthOf(98 - 2);
    expect(() => formatContent('publish', 'id', { title: 'é'.repeat(84) }, 100)).to.throw(
      OptionError,
      /at most 100 bytes/,
    );
  });

  it('has no body and no link where they are null, as a database gives them', () => {
    const given = { title: 'x', body: null, link: null } as unknown as NewNotification;
    checkNewNotification('publish', given);
    expect(formatContent('publish', 'id', given, 4096)).to.equal('{"title":"x"}');
  });

  it('is data, whatever markup its texts are, and none of its fields is another one’s', () => {
    const given: NewNotification = { title: '<img src=x onerror=alert(1)>', data: { id: 'other', title: 'other' } };
    const json = formatContent('publish', 'id', given, 4096);
    const { items } = parseList(['id', `5 9 - ${json}`]);
    expect(toNotification(items[0]!, 'all')).to.deep.equal({
      ...{ id: 'id', title: given.title, data: given.data, group: 'all' },
      ...{ publishedAt: new Date(0), expires: new Date(0) },
    });
  });
});

describe('a list of notifications', () => {
  const list = (...items: [id: string, position: number, expires: number][]) =>
    items.flatMap(([id, position, expires]) => [id, `${position} ${expires} - {"title":"x"}`]);

  it('shows what was published last also by a clock that is behind, and nothing before its time or after its end', () => {
    const stored = parseList([
      ':',
      '1 200',
      ...list(['a', 100, 900], ['b', 200, 900], ['c', 300, 900], ['d', 50, 140]),
    ]);
    const ids = (nowUs: number) => visibleItems(stored, nowUs).map(({ id }) => id);
    expect(ids(120)).to.deep.equal(['b', 'a', 'd']);
    expect(ids(150)).to.deep.equal(['b', 'a']);
    expect(ids(300)).to.deep.equal(['c', 'b', 'a']);
    expect(ids(900)).to.deep.equal([]);
  });

  it('leaves out what it can’t read, and refuses a list of a later version', () => {
    const fields = ['a', 'nonsense', 'b', '5 9 - {', 'c', '5 9 - {"title":"x"}'];
    expect(parseList(fields).items.map(({ id }) => id)).to.deep.equal(['c']);
    expect(() => parseList([':', '2 5']))
      .to.throw()
      .with.property('code', 'ERR_INTELLIGENT_SESSION_VERSION');
  });
});
