import { createHmac } from 'node:crypto';
import { newerVersion } from '../errors/errors.js';
import type { StoredNotification } from './stored-list.js';

/** What somebody has read of one list: all up to a position, and some behind it. It is exact: nothing unread is ever taken for read. */
export interface ReadState {
  readonly upTo: number;
  readonly positions: ReadonlySet<number>;
}

export const isRead = ({ upTo, positions }: ReadState, { position }: StoredNotification): boolean =>
  position <= upTo || positions.has(position);

const NOTHING: ReadState = { upTo: 0, positions: new Set() };

/** The field of the hash `seen` that says when its subject asked first. No list's field has its name: those begin with `g:` or are `@`. */
export const SINCE = ':since';
const OWN = '@';

/**
 * The field of the hash `seen` for a list: a group's, or, where it is undefined, the subject's own. With a secret a group is named by an
 * HMAC, so that who has a copy of Redis does not read there who is in which group.
 */
export function seenField(group: string | undefined, secret: string | undefined): string {
  if (group === undefined) return OWN;
  if (secret === undefined) return `g:${group}`;
  const hash = createHmac('sha256', secret).update(`intelligent-session group:${group}`).digest('base64url');
  return `g:${hash.slice(0, 16)}`;
}

/** The hash `seen`, read. */
export class SeenHash {
  readonly #fields: ReadonlyMap<string, string>;

  /** Takes field and value by turns. */
  constructor(fields: readonly string[]) {
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([fields[i] as string, fields[i + 1] as string]);
    this.#fields = new Map(pairs);
  }

  /** When its subject asked first, µs by Redis' clock; 0 where that was not noted. */
  get since(): number {
    return Number(this.#fields.get(SINCE) ?? 0);
  }

  of(field: string): ReadState {
    const text = this.#fields.get(field);
    if (text === undefined) return NOTHING;
    const [upTo, ...positions] = text.split(' ').map(Number);
    if (upTo === undefined || Number.isNaN(upTo)) throw newerVersion('What was read of notifications');
    return { upTo, positions: new Set(positions) };
  }
}
