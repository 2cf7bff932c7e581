import { expect } from 'chai';
import { mergeGrowing, type SessionContents } from '../../lib/index.js';
import { ApplicationMerge } from '../../lib/session/application-merge.js';
import { MergeTarget, ParsedTexts } from '../../lib/session/merge-target.js';
import { hasSaveId, isSaveIds, mayHaveForgotten, newSaveId, withSaveId } from '../../lib/session/save-ids.js';
import { SessionCodec } from '../../lib/session/session-codec.js';
import type { Snapshot } from '../../lib/session/snapshot.js';

describe('mergeGrowing()', () => {
  const at = (base: object, mine: object, theirs: object) =>
    mergeGrowing('g')(base as SessionContents, mine as SessionContents, theirs as SessionContents);
  const of = (...[base, mine, theirs]: unknown[]) =>
    (at({ ...(base !== undefined && { g: base }) }, { g: mine }, { g: theirs }) as { g: unknown }).g;

  it('puts what one has appended behind the other’s list', () => {
    expect(of(['a'], ['a', 'm'], ['a', 't'])).to.deep.equal(['a', 't', 'm']);
    expect(of(undefined, ['m'], ['t'])).to.deep.equal(['t', 'm']);
    expect(of(null, ['m'], ['t'])).to.deep.equal(['t', 'm']);
    expect(of([], ['x'], ['x'])).to.deep.equal(['x', 'x']);
  });

  it('keeps what one appends while the other removes, changes or empties, whoever is first', () => {
    expect(of(['a', 'b'], ['a', 'b', 'm'], ['b'])).to.deep.equal(['b', 'm']);
    expect(of(['a', 'b'], ['b'], ['a', 'b', 't'])).to.deep.equal(['b', 't']);
    expect(of(['a', 'b'], ['a', 'B'], ['a', 'b', 't'])).to.deep.equal(['a', 'B', 't']);
    expect(of(['a', 'b'], [], ['a', 'b', 't'])).to.deep.equal(['t']);
    expect(of(['a', 'b'], ['a', 'b', 'm'], [])).to.deep.equal(['m']);
  });

  it('takes this request’s list whole where both have removed or changed elements', () => {
    expect(of(['a', 'b'], ['b'], ['a', 't'])).to.deep.equal(['b']);
    expect(of([{ n: 1 }], [{ n: 2 }], [{ n: 3 }, 't'])).to.deep.equal([{ n: 2 }]);
  });

  it('adds up what numbers have grown, and rounds nothing where only one has', () => {
    expect(of(5, 7, 6)).to.equal(8);
    expect(of(5, 4, 8)).to.equal(7);
    expect(of(undefined, 1, 1)).to.equal(2);
    expect(of(0.1, 0.3, 0.1)).to.equal(0.3);
    expect(of(0.1, 0.1, 0.3)).to.equal(0.3);
    expect(of(0, Number.MAX_VALUE, Number.MAX_VALUE)).to.equal(Number.MAX_VALUE);
  });

  it('goes into objects key by key, however deep, and not into elements of lists', () => {
    const base = { tv: { quantity: 1, tags: ['x'] }, old: 1 };
    const mine = { tv: { quantity: 2, tags: ['x', 'm'], note: 'mine' }, old: 1, mine: 1 };
    const theirs = { tv: { quantity: 3, tags: ['x', 't'] }, theirs: 1 };
    expect(of(base, mine, theirs)).to.deep.equal({
      tv: { quantity: 4, tags: ['x', 't', 'm'], note: 'mine' },
      theirs: 1,
      mine: 1,
    });
    expect(of(undefined, { a: { n: 1 } }, { a: { n: 2 }, b: 1 })).to.deep.equal({ a: { n: 3 }, b: 1 });
    expect(of([{ n: 1 }], [{ n: 2 }], [{ n: 1 }, { n: 5 }])).to.deep.equal([{ n: 2 }, { n: 5 }]);
  });

  it('decides by the rule without it where a key was deleted, a kind changed, or no key was named', () => {
    const kept: [object, object, object, object][] = [
      [{ g: [1] }, {}, { g: [1] }, {}],
      [{ g: [1] }, {}, { g: [1, 2] }, {}],
      [{ g: [1] }, { g: [1] }, {}, {}],
      [{ g: [1] }, { g: [1, 2] }, {}, { g: [1, 2] }],
      [{}, { g: 1 }, {}, { g: 1 }],
      [{}, {}, { g: 1 }, { g: 1 }],
      [{ g: [1] }, {}, {}, {}],
      [{ g: [1] }, { g: 'mine' }, { g: [1, 2] }, { g: 'mine' }],
      [{ g: [1] }, { g: [1] }, { g: 'theirs' }, { g: 'theirs' }],
      [{ g: 'a' }, { g: [1] }, { g: [2] }, { g: [1] }],
      [{ g: { a: 1 } }, { g: { a: 1, b: 1 } }, { g: null }, { g: { a: 1, b: 1 } }],
      [
        { n: 1, user: 7 },
        { n: 2, user: 42 },
        { n: 3, user: 42 },
        { n: 2, user: 42 },
      ],
      [{ l: [1] }, { l: [1] }, { l: [1, 2] }, { l: [1, 2] }],
      [{ ['__proto__']: 1 }, JSON.parse('{"__proto__":2}'), {}, JSON.parse('{"__proto__":2}')],
    ];
    for (const [base, mine, theirs, merged] of kept)
      expect(JSON.stringify(at(base, mine, theirs)), JSON.stringify([base, mine, theirs])).to.equal(
        JSON.stringify(merged),
      );
  });

  it('leaves whole what a serializer makes of it: dates and instances of classes', () => {
    class Money {
      constructor(readonly cents: number) {}
    }
    expect(of(new Date(1), new Date(2), new Date(3))).to.deep.equal(new Date(2));
    expect(of(new Date(1), new Date(1), new Date(3))).to.deep.equal(new Date(3));
    expect(of(new Money(1), new Money(1), new Money(3)))
      .to.be.instanceOf(Money)
      .and.include({ cents: 3 });
    expect(of(new Money(1), new Money(2), new Money(3)))
      .to.be.instanceOf(Money)
      .and.include({ cents: 2 });
  });

  it('changes none of what it gets, and costs no more than to read it, however deep', () => {
    const nested = (levels: number, leaf: string) => {
      let value: object = { list: [leaf], filler: 'x'.repeat(100_000) };
      for (let i = 0; i < levels; i++) value = { value, n: i };
      return value;
    };
    const [base, mine, theirs] = [{ g: nested(490, 'b') }, { g: nested(490, 'm') }, { g: nested(490, 't') }];
    const before = JSON.stringify([base, mine, theirs]);
    const began = performance.now();
    for (let i = 0; i < 20; i++) at(base, mine, theirs);
    expect(performance.now() - began).to.be.below(2_000);
    expect(JSON.stringify([base, mine, theirs])).to.equal(before);
  });
});

describe('the saves that a record names', () => {
  const ids = (count: number, of?: string) => {
    let named = of;
    for (let i = 0; i < count; i++) named = withSaveId(named, newSaveId());
    return named;
  };

  it('are 32 at most, of the last minute, and nothing else is taken for them', () => {
    const [first, old] = [newSaveId(), `${(Date.now() - 61_000).toString(36).padStart(9, '0')}abcd`];
    const full = ids(31, first) as string;
    expect(full.split(' ')).to.have.lengthOf(32);
    expect(hasSaveId(full, ['other', first])).to.equal(true);
    expect(hasSaveId(ids(1, full), [first])).to.equal(false);
    expect(hasSaveId(undefined, [first])).to.equal(false);
    expect(hasSaveId(ids(1, old), [old])).to.equal(false);
    for (const one of [first, old, full]) expect(isSaveIds(one)).to.equal(true);
    for (const one of ['', ' ', 1, `${first} `, `${first}\n`, `${full} ${first}`, first.slice(1), [first]])
      expect(isSaveIds(one), String(one)).to.equal(false);
  });

  it('may have forgotten one where too much time or too many saves have passed since', () => {
    const before = ids(2);
    expect(mayHaveForgotten(before, before, 1e9), 'nobody has saved').to.equal(false);
    expect(mayHaveForgotten(ids(30, before), before, 0), 'what was there is there').to.equal(false);
    expect(mayHaveForgotten(ids(31, before), before, 0), 'the last of them is').to.equal(false);
    expect(mayHaveForgotten(ids(32, before), before, 0)).to.equal(true);
    expect(mayHaveForgotten(ids(31), undefined, 0)).to.equal(false);
    expect(mayHaveForgotten(ids(32), undefined, 0)).to.equal(true);
    expect(mayHaveForgotten(ids(1, before), before, 50_001)).to.equal(true);
  });

  it('say that a save was carried out whose answer was another’s value: a Cluster’s client had sent it twice', async () => {
    const codec = new SessionCodec({ serializer: JSON as never, encryption: undefined }, 'sess:');
    const merge = new ApplicationMerge(codec, mergeGrowing('cart'));
    const text = (cart: string[], saves?: string) =>
      JSON.stringify({ cookie: {}, cart, ...(saves && { __saves: saves }) });
    const [id, other] = [newSaveId(), newSaveId()];
    const snapshot = { storedText: text([]), loadedText: text([]), saveIds: [] } as never as Snapshot;
    const saved = { loadedText: text(['mine'], id), saveIds: [id] } as never as Snapshot;
    const [loaded, mine] = [await codec.read(text([])), await codec.read(text(['mine']))];
    const mergedInto = async (theirs: string) => {
      const target = new MergeTarget(theirs, await codec.read(theirs), new ParsedTexts(codec));
      const changes = { loaded, saved: mine, keys: ['cart'], unanswered: [] };
      return (await merge.merged(target, { saved, snapshot, unanswered: [], changes })).session;
    };
    expect(await mergedInto(text(['mine', 'theirs'], `${id} ${other}`))).to.deep.include({ cart: ['mine', 'theirs'] });
    expect(await mergedInto(text(['theirs'], other))).to.deep.include({ cart: ['theirs', 'mine'] });
  });
});
