import calculateSlot from 'cluster-key-slot';

/** Encoded ids of more characters are refused: Redis compares each PUBLISH's channel with globs, a long one slowly. */
export const MAX_ID_LENGTH = 512;

/** Separators, control characters, and lone surrogates, which UTF-8 can't hold. */
const UNSAFE = /[%:@{}\u0000-\u001f\u007f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The characters of most ids: there is nothing to encode. */
const SAFE = /^[\w.~-]*$/;

/** Makes an id safe for a channel or key: encodes what would break a split or a hash tag. Different ids stay different. */
export function encodeId(id: string): string {
  if (SAFE.test(id)) return id;
  return id.replace(UNSAFE, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x80
      ? `%${code.toString(16).toUpperCase().padStart(2, '0')}`
      : `%u${code.toString(16).toUpperCase()}`;
  });
}

/** Is an id of a length that can be sent? An application's own genid() may give anything. */
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

/** The key of the session itself, as connect-redis names it: with the id as it is, not encoded. */
export const sessionKey = (prefix: string, sid: string): string => prefix + sid;

/** A key with data about a session. All of a session's keys share a hash tag, so that a Cluster has them in one slot. */
export const intelligenceKey = (namespace: string, sid: string, name: string): string =>
  intelligencePrefix(namespace, sid) + name;

/** The beginning of all keys that intelligenceKey() makes for a session. */
export const intelligencePrefix = (namespace: string, sid: string): string => `${namespace}ss:{${encodeId(sid)}}:`;

/** A key that an application's command declares, beside the hash `own` that has their names (lib/intelligence/own-keys). */
export const ownKey = (namespace: string, sid: string, name: string): string =>
  intelligenceKey(namespace, sid, `own:${name}`);

/** For the key `own` of that hash and the names in it: all keys, and those to which a login in a Cluster sets them aside. */
export const ownKeysOf = (own: string, names: readonly string[]): string[] => [
  own,
  `${own}::aside`,
  ...names.flatMap((name) => [`${own}:${name}`, `${own}:${name}:aside`]),
];

/** The key that is there when a subject's data were destroyed, erased or carried to a user; its value says which (WIRE.md). */
export const goneKey = (namespace: string, sid: string): string => intelligenceKey(namespace, sid, 'gone');

/**
 * What stands before a user's subject in the key of the hash that lists the user's sessions: not the sessions' own prefix, so
 * that a SCAN for sessions does not find the hash (where the sessions' prefix is empty, SessionKeys.isSession() tells them apart). It ends in a colon, and a subject has none, so that stores with the prefixes
 * `sess:` and `sess:a` share no key.
 */
export const userSessionsPrefix = (prefix: string): string =>
  `users:${/^[^%]*:$/.test(prefix) ? prefix : `%${encodeId(prefix)}:`}`;

/**
 * The name of a companion of `key`: in the same slot of a Cluster, whatever braces `key` has, and outside the sessions'
 * prefix, so that no SCAN takes the companion for a session.
 */
export function besideKey(prefix: string, key: string): string {
  const slot = calculateSlot(key);
  const [tagged, untagged] = formsBeside(prefix, key);
  if (calculateSlot(tagged) === slot) return tagged;
  if (calculateSlot(untagged) === slot) return untagged; // the key has a hash tag of its own
  // A key with braces that make no hash tag. There are 16,384 slots, so one of a million numbers has the key's slot.
  for (let n = 0; n < 1_000_000; n++) if (calculateSlot(`{${n}}`) === slot) return formsBeside(prefix, key, n)[2];
  return tagged;
}

/** The forms that besideKey() chooses from. With a glob for the key, and `*` as the number, they match all such keys. */
export const formsBeside = (prefix: string, key: string, n: number | '*' = '*') =>
  [`${prefix}{${key}}`, `${prefix}${key}`, `${prefix}{${n}}${key}`] as const;

/** The prefix of a key that says for a while that a session was ended, or that all of a user's sessions were. */
export const endedPrefix = (keyPrefix: string): string => `${keyPrefix}ended:`;

/** A partition's number, or a star in a glob for all of them. */
type Partition = number | '*';

/**
 * A partition's stream, of the transport `stream`. A partition's keys share its hash tag, so partitions spread over a Cluster.
 */
export const streamKey = (namespace: string, partition: Partition): string => `${namespace}ss:stream:{${partition}}`;

/** The lease of a partition: the id of the worker that reads it, or '' while it passes to another; a string that expires (lease.lua). */
export const leaseKey = (namespace: string, partition: Partition): string =>
  `${streamKey(namespace, partition)}:worker`;

/** The workers of the streams: a sorted set of their ids, scored by when each was last seen, ms since 1970. */
export const workersKey = (namespace: string): string => `${namespace}ss:workers`;

/** The hash that says how a namespace's stored data is read. No key of a session looks so: those have a brace after `ss:`. */
export const shapeKey = (namespace: string): string => `${namespace}ss:shape`;

/** The hash with a namespace's item key, encrypted (lib/intelligence/item-key.ts). No key of a session looks so. */
export const itemKeyKey = (namespace: string): string => `${namespace}ss:item-key`;

/** The list of a group's notifications, a hash: it has the group's hash tag, and no key of a session looks so. */
export const notificationsKey = (namespace: string, group: string): string =>
  `${namespace}ss:notifications:{${encodeId(group)}}`;

/** The list of a user's own notifications, a hash beside what else is kept of the user. */
export const inboxListKey = (namespace: string, subject: string): string =>
  intelligenceKey(namespace, subject, 'inbox');

/** What a subject has read of notifications, a hash. */
export const seenKey = (namespace: string, subject: string): string => intelligenceKey(namespace, subject, 'seen');
