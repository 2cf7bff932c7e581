import { intelligenceKey } from '../redis/keys.js';
import { type KeptKey, keptKeys } from './commands.js';

/**
 * The keys of what is kept of one session; one hash tag, so one Cluster slot. `activity`: how many views, which requests were
 * counted last, then a bit a minute; `pages`: a HyperLogLog; `visited`: a Bloom filter of pages; `notified`: one of
 * notification ids.
 */
export type IntelligenceKeys = { readonly [Key in KeptKey]: string };

export const intelligenceKeys = (namespace: string, sid: string): IntelligenceKeys =>
  Object.fromEntries(keptKeys.map((key) => [key, intelligenceKey(namespace, sid, key)])) as IntelligenceKeys;

/** And what stands where a session was destroyed: for as long as a message of it may be on its way, none is counted. */
export const commandKeys = (namespace: string, sid: string): IntelligenceKeys & { readonly gone: string } => ({
  ...intelligenceKeys(namespace, sid),
  gone: intelligenceKey(namespace, sid, 'gone'),
});
