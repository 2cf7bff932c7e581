import { createHmac } from 'node:crypto';
import { OptionError } from '../errors/errors.js';
import { checkList } from '../options/check-arguments.js';
import type { BloomItem, BloomOptions } from './bloom-filter.js';

/** Gives the function that makes an item ready for a filter: without a secret it stays as it is, with one it becomes its HMAC. */
export function itemKeying(secret: BloomOptions['itemSecret']): (item: BloomItem) => string | Buffer {
  // Text stays text: ioredis sends a command whose arguments are all text, and none a Buffer, at a fraction of the cost.
  if (secret === undefined) return (item) => (typeof item === 'string' ? item : toBytes(item));
  return (item) => createHmac('sha256', secret).update(toBytes(item)).digest();
}

export function toBytes(item: BloomItem): Buffer {
  if (typeof item === 'string') return Buffer.from(item);
  if (Buffer.isBuffer(item)) return item;
  if (item instanceof Uint8Array) return Buffer.from(item.buffer, item.byteOffset, item.byteLength);
  throw new OptionError('Bloom filter: an item should be text or bytes', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}

/** How many items one call to Redis takes at most: more would keep Redis from others for some milliseconds. */
const BATCH_SIZE = 5000;

/**
 * Acts on items in batches, which are sent at once and carried out in their order. Rejects with the first fault; other batches
 * go on.
 */
export async function inBatches<T>(items: readonly T[], act: (batch: readonly T[]) => Promise<boolean[]>) {
  checkList('addMany() or existsMany', items);
  if (items.length <= BATCH_SIZE) return items.length === 0 ? [] : act(items);
  const batches: Promise<boolean[]>[] = [];
  for (let i = 0; i < items.length; i += BATCH_SIZE) batches.push(act(items.slice(i, i + BATCH_SIZE)));
  return (await Promise.all(batches)).flat();
}

/** Redis' answers about items: 1 or 0, as numbers or, on a client with ioredis' option `stringNumbers`, as texts. */
export const areOne = (replies: readonly unknown[]): boolean[] => replies.map((reply) => Number(reply) === 1);
