import { OptionError } from '../../errors/errors.js';

/** What express-session's ids are made of; `-` stands first, so that no glob takes it for a range. */
const ALPHABET = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';

/**
 * The glob of the sessions of shard `i/n`, `1/4` to `4/4`: by the first character of the id, as evenly as 64 characters can
 * be. The last shard has every other character too, so that each session is some shard's.
 */
export function shardGlob(shard: string): string {
  const [, i = 0, n = 0] = /^([1-9]\d?)\/([1-9]\d?)$/.exec(shard)?.map(Number) ?? [];
  if (i < 1 || i > n || n > ALPHABET.length)
    throw new OptionError(`"shard" should be i/n, 1/1 to ${ALPHABET.length}/${ALPHABET.length}`);
  if (n === 1) return '*';
  const from = (k: number) => Math.floor((k * ALPHABET.length) / n);
  return i === n ? `[^${ALPHABET.slice(0, from(n - 1))}]*` : `[${ALPHABET.slice(from(i - 1), from(i))}]*`;
}
