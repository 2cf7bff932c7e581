import { expect } from 'chai';
import fc from 'fast-check';
import { markOf } from '../../lib/worker/commands/mark.js';

describe('the mark of a request', () => {
  it('is eleven characters of the same sender, in the order of its numbers', () => {
    const sender = fc.string({ minLength: 1 }).filter((text) => !/[~\n]/.test(text));
    const number = fc.integer({ min: 0, max: 36 ** 6 - 1 });
    fc.assert(
      fc.property(sender, number, number, (sender, a, b) => {
        const [one, two] = [a, b].map((n) => markOf(`${sender}~${n.toString(36)}`)) as [string, string];
        expect(one).to.match(/^[\w-]{5}[0-9a-z]{6}$/);
        expect(one.slice(0, 5)).to.equal(two.slice(0, 5));
        expect(one < two).to.equal(a < b);
      }),
    );
  });

  it('is eleven characters of any other id, and never of a number', () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        if (!/~[0-9a-z]{1,6}$/.test(id)) expect(markOf(id)).to.match(/^[\w-]{5}![\w-]{5}$/);
      }),
    );
    expect(markOf('1')).to.not.equal(markOf('2'));
    expect(markOf('a~0000001')).to.contain('!');
  });
});
