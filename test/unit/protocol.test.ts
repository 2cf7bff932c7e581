import { expect } from 'chai';
import fc from 'fast-check';
import { OptionError } from '../../lib/errors/errors.js';
import { decodeId, encodeId } from '../../lib/redis/keys.js';
import {
  channelOf,
  formatPayload,
  formatRequestId,
  parseChannel,
  parseRequestId,
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
