import { LRUCache } from 'lru-cache';
import { murmurHash64A } from '../../../hash/murmur-hash.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** Five characters of ALPHABET, each for six bits, stand for this many. */
const HALF_TOKEN_BITS = 30;
/**
 * The id `<sender>~<number>` that a sender gives its requests: the number counts them, to the base 36, in at most six digits, and the
 * sender's name has no `~`. Zeros before the number mean nothing: `s~1` and `s~01` are one request.
 */
const NUMBERED_ID = /^([^~]+)~([0-9a-z]{1,6})$/;

/** The hashes of the senders that were heard last. Each process that sends is one sender, so this has room for more than a site has. */
const senderHashes = new LRUCache<string, string>({ max: 1000 });

/**
 * Five characters that stand for bits 0 to 29 of the text's hash, or these and five more for bits 32 to 61. Five come from one
 * half of the hash, so two bits of each half are left out.
 */
function hashCharacters(text: string, count: 5 | 10): string {
  const { lo, hi } = murmurHash64A(Buffer.from(text), { lo: 0, hi: 0 });
  let characters = '';
  for (let bit = 0; characters.length < count; bit += 6)
    characters += ALPHABET[(bit < HALF_TOKEN_BITS ? lo >>> bit : hi >>> (bit - HALF_TOKEN_BITS)) & 63];
  return characters;
}

/**
 * Eleven characters that stand for a request. Redis keeps those of a session's last requests, so that one that comes twice is
 * counted once. `id` is the request's id, which its sender gave it and a second delivery repeats. An id `<sender>~<number>`
 * becomes five characters of the sender's hash and the number with zeros before it: activity-ring.lua compares the numbers of
 * one sender. Any other id becomes ten characters of its own hash with a "!" in the middle, which is no digit, so that no part
 * of a hash is taken for a number.
 */
export function dedupToken(id: string): string {
  const [, sender, number] = NUMBERED_ID.exec(id) ?? [];
  if (sender === undefined || number === undefined) {
    const hash = hashCharacters(id, 10);
    return `${hash.slice(0, 5)}!${hash.slice(5)}`;
  }
  let hash = senderHashes.get(sender);
  if (hash === undefined) {
    hash = hashCharacters(sender, 5);
    senderHashes.set(sender, hash);
  }
  return hash + number.padStart(6, '0');
}
