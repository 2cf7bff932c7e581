import { LRUCache } from 'lru-cache';
import { murmurHash64A } from '../../../hash/murmur-hash.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** The number in a request id `<sender>~<number>`, which counts the sender's requests: at most six digits to the base 36. */
const NUMBER = /^[0-9a-z]{1,6}$/;

const senders = new LRUCache<string, string>({ max: 1000 });

/** A hash of the text, written in `count` characters of six bits each. */
function letters(text: string, count: number): string {
  const { lo, hi } = murmurHash64A(Buffer.from(text), { lo: 0, hi: 0 });
  let word = '';
  for (let shift = 0; word.length < count; shift += 6)
    word += ALPHABET[(shift < 30 ? lo >>> shift : hi >>> (shift - 30)) & 63];
  return word;
}

/**
 * Eleven characters by which a request that comes twice is recognized (activity-ring.lua): five of its sender's hash, and its
 * number as six digits to the base 36. An id of another form becomes ten characters of its own hash with a "!" in the middle.
 */
export function dedupToken(id: string): string {
  const at = id.lastIndexOf('~');
  const sender = id.slice(0, at);
  const number = id.slice(at + 1);
  if (at < 1 || sender.includes('~') || !NUMBER.test(number)) {
    const word = letters(id, 10);
    return `${word.slice(0, 5)}!${word.slice(5)}`;
  }
  let name = senders.get(sender);
  if (name === undefined) {
    name = letters(sender, 5);
    senders.set(sender, name);
  }
  return name + number.padStart(6, '0');
}
