import { createHmac } from 'node:crypto';
import { encodeId } from '../../redis/keys.js';

/** The form of an item that is keyed. A page's name has no fragment, so none begins with `#`. */
const KEYED = /^#[\w-]{22}$/;

/** Gives what stands for a session's page or notification id in messages and in Redis: without a secret, the text itself. */
export type ItemKey = (sid: string, item: string) => string;

/**
 * With a secret: `#` and 22 characters (132 bits) of an HMAC of session and item, so that what is kept of one visitor says
 * nothing of another's. An item that is keyed already stays as it is: a worker keys what a serving process without the secret has sent.
 */
export function itemKeyOf(secret: string | undefined): ItemKey {
  if (secret === undefined) return (_, item) => item;
  return (sid, item) => (KEYED.test(item) ? item : keyItem(secret, sid, item));
}

/** An encoded session id has no colon, so no two pairs of session and item give the same text. */
export const keyItem = (secret: string, sid: string, item: string): string =>
  `#${createHmac('sha256', secret)
    .update(`${encodeId(sid)}:${item}`)
    .digest('base64url')
    .slice(0, 22)}`;
