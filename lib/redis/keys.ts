import { createHash } from 'node:crypto';
import calculateSlot from 'cluster-key-slot';

/** Ids longer than this (encoded) are refused: a glob against a very long channel costs every PUBLISH. */
export const MAX_ID_LENGTH = 512;

const UNSAFE = /[%:@{}\u0000-\u001f\u007f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** What most ids are made of: nothing to encode. */
const SAFE = /^[\w.~-]*$/;

/** Makes an id safe for a channel or key: what would break a split or a hash tag is percent-encoded. Injective. */
export function encodeId(id: string): string {
  if (SAFE.test(id)) return id;
  return id.replace(UNSAFE, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x80
      ? `%${code.toString(16).toUpperCase().padStart(2, '0')}`
      : `%u${code.toString(16).toUpperCase()}`;
  });
}

/** Can an id be sent? An application's own genid() may give anything. */
export const isSendable = (id: string): boolean => {
  if (id.length > MAX_ID_LENGTH) return false;
  const { length } = encodeId(id);
  return length > 0 && length <= MAX_ID_LENGTH;
};

export function decodeId(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  return encoded.replace(/%u([0-9A-F]{4})|%([0-9A-F]{2})/g, (_, wide, narrow) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow, 16)),
  );
}

/** What a session's key begins with, where nobody says otherwise: connect-redis' prefix. */
export const SESSION_PREFIX = 'sess:';

/** The session itself, as connect-redis names it: the id as it is. */
export const sessionKey = (prefix: string, sid: string): string => prefix + sid;

/** A key of what is kept of a session; all of a session's share a hash tag, so they are in one slot of a Cluster. */
export const intelligenceKey = (namespace: string, sid: string, name: string): string =>
  intelligencePrefix(namespace, sid) + name;

/** What all of them begin with. */
export const intelligencePrefix = (namespace: string, sid: string): string => `${namespace}ss:{${encodeId(sid)}}:`;

/** String, empty: the session was destroyed. */
export const goneKey = (namespace: string, sid: string): string => intelligenceKey(namespace, sid, 'gone');

/**
 * Stands before a user, encoded as an id, in the key of which sessions are theirs, a hash: outside the sessions' own prefix, so
 * that no SCAN takes it for one. It always ends in a colon, and a user has none: `sess:` and `sess:a` share no key.
 */
export const userSessionsPrefix = (prefix: string): string =>
  `users:${/^[^%]*:$/.test(prefix) ? prefix : `%${encodeId(prefix)}:`}`;

/**
 * A user in that key: encoded as an id, and where that is longer than an id may be, `%s` and its SHA-256 (base64url). No
 * encoded id has a percent sign before an s, so that no user's key is another's.
 */
export function userInKey(user: string): string {
  const encoded = encodeId(user);
  if (encoded.length <= MAX_ID_LENGTH) return encoded;
  return `%s${createHash('sha256').update(encoded).digest('base64url')}`;
}

/**
 * A key that stands beside another: in the same slot of a Cluster whatever braces there are in it, and outside its prefix,
 * so that no SCAN takes it for one of those.
 */
export function besideKey(prefix: string, key: string): string {
  const slot = calculateSlot(key);
  const [whole, own] = formsBeside(prefix, key);
  if (calculateSlot(whole) === slot) return whole;
  if (calculateSlot(own) === slot) return own; // it has a hash tag
  // A lone brace can be put into no tag: some number that comes to the same slot.
  for (let n = 0; n < 1_000_000; n++) if (calculateSlot(`{${n}}`) === slot) return formsBeside(prefix, key, n)[2];
  return whole;
}

/** The forms that besideKey() gives; of a glob, with `*` as the number, globs that match them all. */
export const formsBeside = (prefix: string, key: string, n: number | '*' = '*') =>
  [`${prefix}{${key}}`, `${prefix}${key}`, `${prefix}{${n}}${key}`] as const;

/** Stands before the key of what says, for a while, that a session, or all of a user's, were ended. */
export const endedPrefix = (keyPrefix: string): string => `${keyPrefix}ended:`;

/** Its number; in a glob for all of them, a star. */
type Partition = number | '*';

/** The streams of the transport `stream`; a partition's keys share its hash tag, so the partitions spread over a Cluster. */
export const streamKey = (namespace: string, partition: Partition): string => `${namespace}ss:stream:{${partition}}`;

/** Which worker reads a partition: its id, a string that expires. */
export const leaseKey = (namespace: string, partition: Partition): string =>
  `${streamKey(namespace, partition)}:worker`;

/** The streams' workers: a sorted set by when they were last seen, ms. */
export const workersKey = (namespace: string): string => `${namespace}ss:workers`;

/** How a namespace's stored data is read: a hash. No session's key is called so, since those have a brace after `ss:`. */
export const shapeKey = (namespace: string): string => `${namespace}ss:shape`;
