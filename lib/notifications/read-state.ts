import { createHmac } from 'node:crypto';
import { newerVersion } from '../errors/errors.js';
import type { StoredNotification } from './stored-list.js';

/**
 * What a subject (a user or an anonymous visitor) has read of one list: everything up to the position `upTo`, and the notifications at
 * single `positions` after it, in µs since 1970. It is exact, unlike a Bloom filter.
 */
export interface ReadState {
  readonly upTo: number;
  readonly positions: ReadonlySet<number>;
}

export const isRead = ({ upTo, positions }: ReadState, { position }: StoredNotification): boolean =>
  position <= upTo || positions.has(position);

const NOTHING_READ: ReadState = { upTo: 0, positions: new Set() };

/** The field of the hash `seen` with the time at which its subject first asked for notifications. The fields of lists begin with `g:`, or are `@`. */
export const SINCE = ':since';
const OWN_LIST = '@';
/** In characters of base64url. They have 96 bits, so that no two groups get the same ones. */
const HASH_LENGTH = 16;

/**
 * The field of the hash `seen` for the list of a group, or, without `group`, for the subject's own list. With an item key the field has an
 * HMAC of the group's name, so that a copy of Redis does not show who is in which group.
 */
export function seenField(group: string | undefined, itemKey: string | undefined): string {
  if (group === undefined) return OWN_LIST;
  if (itemKey === undefined) return `g:${group}`;
  const hash = createHmac('sha256', itemKey).update(`intelligent-session group:${group}`).digest('base64url');
  return `g:${hash.slice(0, HASH_LENGTH)}`;
}

/** The hash `seen` of a subject, as it was read from Redis. */
export class SeenHash {
  readonly #fields: ReadonlyMap<string, string>;

  /** Takes fields and values by turns, as HGETALL replies them. */
  constructor(fields: readonly string[]) {
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([fields[i] as string, fields[i + 1] as string]);
    this.#fields = new Map(pairs);
  }

  /** When the subject first asked for notifications, µs since 1970 by Redis' clock; 0 where that was not noted. */
  get since(): number {
    return Number(this.#fields.get(SINCE) ?? 0);
  }

  of(field: string): ReadState {
    const text = this.#fields.get(field);
    if (text === undefined) return NOTHING_READ;
    const [upTo, ...positions] = text.split(' ').map(Number);
    if (upTo === undefined || Number.isNaN(upTo)) throw newerVersion('What was read of notifications');
    return { upTo, positions: new Set(positions) };
  }
}
