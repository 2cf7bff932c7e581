import { OptionError } from '../../errors/errors.js';

/** The characters of express-session's ids. `-` is the first: between two others a glob takes it for a range. */
const ALPHABET = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';

/**
 * The glob that matches the session ids of shard `i/n` (`1/4` to `4/4`). It goes by the first character of the id, and shares out the
 * 64 characters as evenly as possible. The last shard also has every other character, so that each session belongs to a shard.
 */
export function shardGlob(shard: string): string {
  const [, i = 0, n = 0] = /^([1-9]\d?)\/([1-9]\d?)$/.exec(shard)?.map(Number) ?? [];
  if (i < 1 || i > n || n > ALPHABET.length)
    throw new OptionError(`"shard" should be i/n, 1/1 to ${ALPHABET.length}/${ALPHABET.length}`);
  if (n === 1) return '*';
  const endOf = (shardNumber: number) => Math.floor((shardNumber * ALPHABET.length) / n);
  return i === n ? `[^${ALPHABET.slice(0, endOf(n - 1))}]*` : `[${ALPHABET.slice(endOf(i - 1), endOf(i))}]*`;
}
