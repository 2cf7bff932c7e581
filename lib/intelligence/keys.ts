import { intelligenceKey } from '../redis/keys.js';
import { type KeptKey, keptKeys, temporaryKeys } from './commands.js';

/**
 * The keys of what is kept of one subject; one hash tag, so one Cluster slot. `activity`: how many views, which requests were
 * counted last, then a bit a minute; `pages`: a HyperLogLog; `visited`: a Bloom filter of pages; `notified`: one of
 * notification ids; `visited-items` and `notified-items`: what is in these filters, of an anonymous visitor, for a login to
 * carry; `seen`: which published notifications were read (lib/notifications).
 */
export type IntelligenceKeys = { readonly [Key in KeptKey]: string };

export const intelligenceKeys = (namespace: string, sid: string): IntelligenceKeys =>
  Object.fromEntries(keptKeys.map((key) => [key, intelligenceKey(namespace, sid, key)])) as IntelligenceKeys;

/**
 * All keys of a subject: also those with an expiry of their own; `own`, which names the keys that the application's commands
 * have made (own-keys/); and `gone`, which says that the subject has ended, so that messages that are still on their way are
 * not counted.
 */
export const commandKeys = (
  namespace: string,
  sid: string,
): IntelligenceKeys & { readonly [name: string]: string; readonly own: string; readonly gone: string } => ({
  ...intelligenceKeys(namespace, sid),
  ...Object.fromEntries(temporaryKeys.map((key) => [key, intelligenceKey(namespace, sid, key)])),
  own: intelligenceKey(namespace, sid, 'own'),
  gone: intelligenceKey(namespace, sid, 'gone'),
});
