import { causeOf, IntelligentSessionError, redisFault } from '../errors/errors.js';

const advice = 'open it with that one, or move it with copyFilter()';

/** By what stands in an error of Redis or of our scripts: what the caller reads, the same for both implementations. */
const messages: readonly (readonly [RegExp, string])[] = [
  [/OTHERFORM module/, `the key holds a filter of RedisBloom: ${advice} (bloom: "module")`],
  [/OTHERFORM fallback/, `the key holds a filter of the fallback: ${advice} (bloom: "fallback")`],
  [/NEWER/, 'the key holds a filter in a form that this version does not know; it was left as it is'],
  [/FOREIGN/, 'a filter without 64-bit hashes, or with other options that are not supported; it was left as it is'],
  [/DAMAGED|received bad data|problem inserting/, 'the key holds a damaged or truncated filter; it was left as it is'],
  [/WRONGTYPE/, 'the key holds something else'],
  [/item exists|BUSYKEY/, 'the key exists already'],
  [/non scaling filter is full/i, 'full, and made not to scale'],
  [/TOOBIG/, 'a filter has at most 512 MB and 1,000 layers here'],
  [/TOOFULL/, 'these filters are too full to be one within the error rate'],
  [/^BUSY$/, 'the filters changed at each try to merge them'],
];

/** A Bloom filter's error in this package's words. An error that is not about the filter is a fault of Redis. */
export function bloomFault(cause: unknown): IntelligentSessionError {
  if (cause instanceof IntelligentSessionError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const found = messages.find(([pattern]) => pattern.test(message));
  return found
    ? new IntelligentSessionError('ERR_INTELLIGENT_SESSION_BLOOM', `Bloom filter: ${found[1]}`, causeOf(cause))
    : redisFault(cause);
}
