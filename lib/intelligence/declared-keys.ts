/**
 * What becomes of an anonymous visitor's key when the visitor logs in and the user has that key, too; where the user has none,
 * the visitor's becomes the user's. `union`: what is in either (a set; a hash, where the user's value of a field stays; a
 * sorted set, with the higher score; a HyperLogLog). `sum`: numbers are added (a string, a hash's fields, a sorted set's
 * scores). `replace`: the visitor's takes the place of the user's. `keep`: the user's stays. `drop`: the visitor's is never
 * carried.
 */
export type OwnKeyMerge = 'union' | 'sum' | 'replace' | 'keep' | 'drop';

/** A key that an application's own command declares. */
export interface OwnKey {
  /** What becomes of it at a login. */
  readonly merge: OwnKeyMerge;
}

export const MERGES = ['union', 'sum', 'replace', 'keep', 'drop'] as const satisfies readonly OwnKeyMerge[];

/** How many names all commands of a process declare at most: each erasure and each renewal goes over all of them. */
export const MAX_OWN_KEYS = 64;

/** The form of a key's name, as of a command's. */
export const OWN_KEY_NAME = /^[a-z0-9-]{1,64}$/;
