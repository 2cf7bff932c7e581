import { expect } from 'chai';
import { OptionError } from '../../lib/errors/errors.js';
import fc from 'fast-check';
import { shardGlob } from '../../lib/transport/pubsub/shard.js';

/** A glob of one class and a star, as Redis reads it. */
function matches(glob: string, id: string): boolean {
  if (glob === '*') return true;
  const [, not, members = ''] = /^\[(\^?)([^\]]+)\]\*$/.exec(glob) as RegExpExecArray;
  return members.includes(id.charAt(0)) !== (not === '^');
}

describe('a shard', () => {
  it('has each session in exactly one of n, whatever its id', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.string({ minLength: 1 }), (n, id) => {
        const globs = Array.from({ length: n }, (_, i) => shardGlob(`${i + 1}/${n}`));
        expect(globs.filter((glob) => matches(glob, id))).to.have.lengthOf(1);
      }),
    );
  });

  it('has a fair part of express-session’s ids', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const n of [2, 3, 4, 7, 16])
      for (let i = 1; i <= n; i++) {
        const part = [...alphabet].filter((c) => matches(shardGlob(`${i}/${n}`), c)).length;
        expect(part, `${i}/${n}`).to.be.within(Math.floor(64 / n), Math.ceil(64 / n));
      }
  });

  for (const shard of ['0/2', '3/2', '1/65', '1', 'a/b', '1/0', ''])
    it(`refuses ${JSON.stringify(shard)}`, () => {
      expect(() => shardGlob(shard))
        .to.throw(OptionError, '"shard"')
        .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    });
});
