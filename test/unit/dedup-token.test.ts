import { expect } from 'chai';
import fc from 'fast-check';
import { dedupToken } from '../../lib/intelligence/commands/pageview/dedup-token.js';

describe('the deduplication token of a request', () => {
  it('is eleven characters of the same sender, in the order of its numbers', () => {
    const sender = fc.string({ minLength: 1 }).filter((text) => !/[~\n]/.test(text));
    const number = fc.integer({ min: 0, max: 36 ** 6 - 1 });
    fc.assert(
      fc.property(sender, number, number, (sender, a, b) => {
        const [one, two] = [a, b].map((n) => dedupToken(`${sender}~${n.toString(36)}`)) as [string, string];
        expect(one).to.match(/^[\w-]{5}[0-9a-z]{6}$/);
        expect(one.slice(0, 5)).to.equal(two.slice(0, 5));
        expect(one < two).to.equal(a < b);
      }),
    );
  });

  it('is the same with zeros before the number, which then does not ascend (WIRE.md)', () => {
    expect(dedupToken('s~01')).to.equal(dedupToken('s~1'));
    expect(dedupToken('s~000010')).to.equal(dedupToken('s~10'));
    expect(dedupToken('s~10')).to.not.equal(dedupToken('s~1'));
    expect(dedupToken('s~0000001')).to.not.equal(dedupToken('s~1')); // seven digits are no number
  });

  it('is of another form where the sender’s name is missing, or has a ~', () => {
    for (const id of ['~1', 'a~b~1', '~~1']) expect(dedupToken(id), id).to.match(/^[\w-]{5}![\w-]{5}$/);
  });

  it('is eleven characters of any other id, and never of a number', () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        if (!/~[0-9a-z]{1,6}$/.test(id)) expect(dedupToken(id)).to.match(/^[\w-]{5}![\w-]{5}$/);
      }),
    );
    expect(dedupToken('1')).to.not.equal(dedupToken('2'));
    expect(dedupToken('a~0000001')).to.contain('!');
  });
});
