import { createHmac } from 'node:crypto';
import { encodeId } from '../../redis/keys.js';

/** No page's name begins so: a fragment belongs to none. */
const KEYED = /^#[\w-]{22}$/;

/** What stands for a session's page or notification, in messages and in what is kept; without a secret the text itself. */
export type ItemKey = (sid: string, item: string) => string;

/**
 * With a secret: `#` and 22 characters (132 bits) of an HMAC of session and item, so that what is kept of one visitor says
 * nothing of another's. What is keyed already stays: the worker keys what a serving layer without the secret sends.
 */
export function itemKeyOf(secret: string | undefined): ItemKey {
  if (secret === undefined) return (_, item) => item;
  return (sid, item) => (KEYED.test(item) ? item : keyItem(secret, sid, item));
}

/** An encoded session id has no colon, so no two pairs are one text. */
export const keyItem = (secret: string, sid: string, item: string): string =>
  `#${createHmac('sha256', secret)
    .update(`${encodeId(sid)}:${item}`)
    .digest('base64url')
    .slice(0, 22)}`;
