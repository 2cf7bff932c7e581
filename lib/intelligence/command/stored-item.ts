import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { murmurHash64A } from '../../hash/murmur-hash.js';
import { encodeId } from '../../redis/keys.js';

/** The form of an item that is keyed. No page's name and no id has it (notKeyed()). */
const KEYED = /^#[\w-]{22}$/;
const FINGERPRINT_BYTES = 8;
/** The end of the encrypted block: one that was made with another secret, or for another subject, does not decrypt to it. */
const PADDING = Buffer.alloc(8);
const MAX_REMEMBERED_HMACS = 2_000;
/** To hash so many characters takes this process as long as a page view takes Redis. */
const HASHED_LENGTH = 5_000;

/**
 * What it costs to make the stored item of a text, in page views (a descriptor's `cost`). Redis gets the stored item, and of a page's
 * name, which has 1,024 bytes at most, the hash costs next to nothing; a longer text comes from who sends without this package.
 */
export const hashingCost = ({ length }: string): number => Math.floor(length / HASHED_LENGTH);

/**
 * The items of a list as note_item() writes it (prelude.lua), without anything between them: keyed ones begin with `#`,
 * fingerprints don't.
 */
export const storedItemsIn = (list: string): string[] => list.match(/#[\w-]{22}|[\w-]{11}/g) ?? [];

/** A page's name or an id of the application's: one that has the form of a keyed item gets `%23` for its `#`. */
export const notKeyed = (item: string): string => (KEYED.test(item) ? `%23${item.slice(1)}` : item);

/** Makes the stored items: texts that stand for pages and notification ids in a subject's data. */
export interface StoredItems {
  of(subject: string, item: string): string;
  /**
   * The stored items of the subject `from`, as `to` has them. Undefined where some are keyed and this process has no secret: then
   * unkeyed() gives the others.
   */
  moved(items: readonly string[], from: string, to: string): string[] | undefined;
}

/** Those stored items that are not keyed: they are the same for every subject. */
export const unkeyed = (items: readonly string[]): string[] => items.filter((item) => !KEYED.test(item));

/**
 * Without a secret an item is stored as the fingerprint of its text, the same for every subject. With one it is keyed. What is keyed
 * already stays as it is: a serving process that has the secret keys what it sends. In this file the secret is the namespace's
 * item key (item-key.ts).
 */
export function storedItems(secret: string | undefined): StoredItems {
  if (secret === undefined)
    return {
      of: (_, item) => (KEYED.test(item) ? item : fingerprintOf(item)),
      moved: (items) => (items.some((item) => KEYED.test(item)) ? undefined : [...items]),
    };
  return {
    of: (subject, item) => (KEYED.test(item) ? item : keyItem(secret, subject, item)),
    moved(items, from, to) {
      const fingerprints = items.map((item) => (KEYED.test(item) ? openItem(secret, from, item) : undefined));
      // An item without `#` was stored before there was a secret. Its fingerprint is no HMAC, so it can't be keyed, and is left
      // out.
      return fingerprints.flatMap((one) => (one ? [sealFingerprint(secret, to, one)] : []));
    },
  };
}

/** A hash of the item's text: 64 bits, as 11 characters of base64url. */
function fingerprintOf(item: string): string {
  const { lo, hi } = murmurHash64A(Buffer.from(item), { lo: 0, hi: 0 });
  const bytes = Buffer.allocUnsafe(FINGERPRINT_BYTES);
  bytes.writeUInt32LE(lo, 0);
  bytes.writeUInt32LE(hi, 4);
  return bytes.toString('base64url');
}

/**
 * `#` and 22 characters: 64 bits of the item's HMAC, encrypted by a key of the subject's own. So what is kept of one visitor says
 * nothing of another's, and who has the secret can carry items from an anonymous visitor to the user who logs in.
 */
export const keyItem = (secret: string, subject: string, item: string): string =>
  sealFingerprint(secret, subject, keyedFingerprint(secret, item));

/** Characters of secret and text. No longer one is remembered, so that the memory which the cache takes is bounded. */
const MAX_REMEMBERED_LENGTH = 1_024;
const remembered = new LRUCache<string, Buffer>({ max: MAX_REMEMBERED_HMACS });

/** The HMAC of a text. The latest are remembered: visitors see the same pages, and each has many items. */
function hmac(secret: string, text: string): Buffer {
  const name = `${secret}\n${text}`;
  let digest = remembered.get(name);
  if (!digest) {
    digest = createHmac('sha256', secret).update(text).digest();
    if (name.length <= MAX_REMEMBERED_LENGTH) remembered.set(name, digest);
  }
  return digest;
}

const keyedFingerprint = (secret: string, item: string): Buffer =>
  hmac(secret, `intelligent-session item:${item}`).subarray(0, FINGERPRINT_BYTES);
/**
 * The key that encrypts a subject's items. The id is encoded first, since as UTF-8 two ids that differ in a lone surrogate
 * would be the same text.
 */
const subjectKey = (secret: string, subject: string): Buffer =>
  hmac(secret, `intelligent-session subject:${encodeId(subject)}`);

/**
 * One block of AES, so ECB will do: within one subject the same fingerprint is the same text, which says nothing without the
 * key.
 */
function sealFingerprint(secret: string, subject: string, fingerprint: Buffer): string {
  const cipher = createCipheriv('aes-256-ecb', subjectKey(secret, subject), null).setAutoPadding(false);
  return `#${cipher.update(Buffer.concat([fingerprint, PADDING])).toString('base64url')}`;
}

/** The fingerprint of a keyed item; undefined where another secret made it, or for another subject. */
function openItem(secret: string, subject: string, item: string): Buffer | undefined {
  const block = Buffer.from(item.slice(1), 'base64url');
  const decipher = createDecipheriv('aes-256-ecb', subjectKey(secret, subject), null).setAutoPadding(false);
  const bytes = decipher.update(block);
  return bytes.subarray(FINGERPRINT_BYTES).equals(PADDING) ? bytes.subarray(0, FINGERPRINT_BYTES) : undefined;
}
