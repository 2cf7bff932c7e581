import { expect } from 'chai';
import fc from 'fast-check';
import { OptionError } from '../../lib/errors/errors.js';
import { decodeId, encodeId } from '../../lib/redis/keys.js';
import {
  changesChannel,
  channelOf,
  formatChange,
  parseChange,
  patternOf,
  formatPayload,
  formatRequestId,
  parseChannel,
  parseRequestId,
  replyListOf,
  requestOf,
} from '../../lib/transport/protocol.js';

const anyString = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)),
  minLength: 1,
  maxLength: 60,
});

describe('the wire', () => {
  it('brings any session id through a channel, lone surrogates included', () => {
    fc.assert(
      fc.property(anyString, anyString, (sid, id) => {
        const rid = formatRequestId({ id, replyTo: { inbox: 'some-box' }, budgetMs: 12, ttlSeconds: 34 });
        const parsed = parseChannel('shop:', channelOf('shop:', requestOf('pageview', sid, rid)));
        expect(parsed.sid).to.equal(sid);
        expect(parsed.command).to.equal('pageview');
        expect(parsed.request).to.deep.equal({ id, replyTo: { inbox: 'some-box' }, budgetMs: 12, ttlSeconds: 34 });
      }),
    );
  });

  it('encodes an id so that it can neither split a channel nor leave its hash tag', () => {
    fc.assert(
      fc.property(anyString, (id) => {
        expect(encodeId(id)).to.not.match(/[:@{}\u0000-\u001f]/);
        expect(decodeId(encodeId(id))).to.equal(id);
      }),
    );
  });

  it('names a list’s channel of changes so that no worker hears it, and none is another’s', () => {
    expect(changesChannel('shop:', { group: 'a:b' })).to.equal('shop:ss:changes:g.a%3Ab');
    expect(changesChannel('', { subject: 'x~' }, 3)).to.equal('ss@3:changes:s.x~');
    expect(patternOf('', 'changes', '*')).to.equal('ss:changes:*:?*');
    fc.assert(
      fc.property(anyString, anyString, (group, subject) => {
        expect(changesChannel('', { group }).split(':')).to.have.lengthOf(3);
        expect(changesChannel('', { group })).to.not.equal(changesChannel('', { subject }));
      }),
    );
  });

  it('gives every answer of a list the same expiry: no inbox’s key is a single request’s, whatever a command is called', () => {
    const inbox = fc.stringMatching(/^[\w-]{8,64}$/);
    fc.assert(
      fc.property(inbox, anyString, anyString, fc.nat(9_000), (inbox, sid, id, budgetMs) => {
        const rids = [
          { id, replyTo: { inbox }, budgetMs },
          { id: `${id}2`, replyTo: { inbox }, budgetMs: 5 },
          { id: inbox, replyTo: 'list' },
          { id, replyTo: 'list', budgetMs },
        ] as const;
        const [first, second, ...single] = rids.map((rid) =>
          replyListOf('', parseChannel('', channelOf('', requestOf('inbox', sid, formatRequestId(rid))))),
        );
        expect(second?.key).to.equal(first?.key);
        expect([first?.ttlMs, second?.ttlMs]).to.deep.equal([5_000, 5_000]);
        for (const list of single) {
          expect(list?.ttlMs).to.equal(500);
          expect(list?.key).to.not.equal(first?.key);
        }
      }),
    );
  });

  it('takes a change only in a form that it has', () => {
    const changes = [
      { type: 'published', id: '"', position: 1_700_000_000_000_001 },
      { type: 'scheduled', id: 'x', position: 2 },
      { type: 'changed' },
      { type: 'read' },
      { type: 'ended', session: 'abc' },
    ] as const;
    for (const change of changes) expect(parseChange(formatChange(change))).to.deep.equal(change);
    const none = [
      '',
      '{',
      'null',
      '[]',
      '1',
      '{"type":"x"}',
      '{"type":"published","id":1,"position":2}',
      '{"type":"ended"}',
    ];
    for (const text of [...none, '{"type":"published","id":"x","position":1e99}', ' '.repeat(3_000)])
      expect(parseChange(text), text).to.equal(undefined);
  });

  it('tells the paper’s request id from one that names an inbox, and from one that nobody waits for', () => {
    expect(parseRequestId('7')).to.deep.equal({ id: '7', replyTo: 'list' });
    expect(parseRequestId('7@some-box@2500@600')).to.deep.equal({
      id: '7',
      replyTo: { inbox: 'some-box' },
      budgetMs: 2500,
      ttlSeconds: 600,
    });
    expect(parseRequestId('7@@@600')).to.deep.equal({ id: '7', replyTo: 'nobody', ttlSeconds: 600 });
    const [id, replyTo, sentMs] = ['7', 'nobody', 1_764_172_800_000] as const;
    for (const [rid, request] of [
      ['7@@@600@@@1764172800000', { id, replyTo, ttlSeconds: 600, sentMs }],
      ['7@@@600@@a@1764172800000', { id, replyTo, ttlSeconds: 600, isAnonymous: true, sentMs }],
      ['7@-@@600@@@1764172800000', { id, replyTo: 'list', ttlSeconds: 600, sentMs }],
    ] as const) {
      expect(parseRequestId(rid)).to.deep.equal(request);
      expect(formatRequestId(request)).to.equal(rid);
    }
    for (const sent of ['0', '-1', '1e3', 'x', '1234567890123456'])
      expect(parseRequestId(`7@@@600@@@${sent}`)).to.deep.equal({ id, replyTo, ttlSeconds: 600 });
    expect(parseRequestId('7@@x@-1')).to.deep.equal({ id: '7', replyTo: 'nobody' });
  });

  it('refuses a payload over 256 kB and a session id over 512 characters, with a code', () => {
    const code = 'ERR_INTELLIGENT_SESSION_ARGUMENT';
    expect(() => formatPayload('x'.repeat(300_000)))
      .to.throw(OptionError)
      .with.property('code', code);
    expect(() => requestOf('pageview', 'x'.repeat(600), '1'))
      .to.throw(OptionError)
      .with.property('code', code);
  });

  for (const channel of ['', 'ss:', 'ss:pageview', 'ss:pageview:sid', 'ss:pageview:sid:1:2', 'other:ss:pageview:a:1'])
    it(`refuses the channel ${JSON.stringify(channel)}`, () => {
      expect(() => parseChannel('', channel))
        .to.throw()
        .with.property('code', 'ERR_INTELLIGENT_SESSION_MESSAGE');
    });
});
