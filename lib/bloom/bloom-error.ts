import { IntelligentSessionError, redisFault } from '../errors.js';

/** A Bloom filter's fault in this package's words: the same from both implementations. */
export function bloomFault(cause: unknown): IntelligentSessionError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const say = (text: string) => new IntelligentSessionError('ERR_INTELLIGENT_SESSION_BLOOM', text);
  if (/WRONGTYPE/.test(message)) return say('Bloom filter: the key holds something else, or the other implementation');
  if (/item exists|BUSYKEY/.test(message)) return say('Bloom filter: the key exists already');
  if (/non scaling filter is full/i.test(message)) return say('Bloom filter: full, and made not to scale');
  return redisFault(cause);
}
