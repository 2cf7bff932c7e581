/** The shape of a filter: RedisBloom's names and defaults. */
export interface BloomShape {
  /** Rate of false positives of the whole, over 0 and under 1. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** Items in the first layer, 1 to 2^30. @default 100 */
  readonly capacity?: number | undefined;
  /** Entries of each further layer, as a multiple of the one before, 1 to 32768. @default 2 */
  readonly expansion?: number | undefined;
  /** One layer only: an add to a full filter is an error. @default false */
  readonly nonScaling?: boolean | undefined;
}

/** A shape without gaps: the defaults are filled in. */
export type ResolvedShape = { readonly [K in keyof BloomShape]-?: NonNullable<BloomShape[K]> };

export interface BloomOptions extends BloomShape {
  /**
   * The filter holds an item's HMAC-SHA256 with this secret (16 characters or bytes at least): whoever has the filter without
   * the secret can't ask it about anything. With another secret it is another filter. @default none
   */
  readonly itemSecret?: string | Uint8Array | undefined;
}

/** Text is UTF-8, as it is: the normal forms of one text are different items. */
export type BloomItem = string | Uint8Array;

/** What BF.INFO tells. */
export interface BloomInfo {
  readonly capacity: number;
  readonly layers: number;
  readonly items: number;
  /** undefined for a non-scaling filter */
  readonly expansion: number | undefined;
}

/** All of a filter's bytes, in the form that both implementations share: what BF.SCANDUMP gives, header and layers. */
export interface BloomDump {
  readonly bytes: Buffer;
  /** how long the filter still lives, ms; undefined: it does not expire */
  readonly ttlMs: number | undefined;
}

/** A Bloom filter in Redis: RedisBloom and plain Redis give the same answers. A call is one round trip where nothing else is said. */
export interface BloomFilter {
  readonly implementation: 'module' | 'fallback';
  /** Makes an empty filter, of createBloomFilter()'s shape where `shape` says nothing; rejects if the key exists. */
  reserve(key: string, shape?: BloomShape): Promise<void>;
  /** true if the item was not there (as far as the filter can tell). A missing key becomes a filter of createBloomFilter()'s shape. */
  add(key: string, item: BloomItem): Promise<boolean>;
  /** One round trip, and one atomic step, for each 5,000 items. */
  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** The fallback's first look at a filter over 4 KB is two round trips more, the first after it has grown three; existsMany() likewise. */
  exists(key: string, item: BloomItem): Promise<boolean>;
  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** Items added, 0 for a missing key. */
  cardinality(key: string): Promise<number>;
  /** undefined for a missing key */
  info(key: string): Promise<BloomInfo | undefined>;
  /**
   * `target` then holds what it and the sources held; the sources stay. Takes two round trips: every filter's bytes come here,
   * and the union goes back. It is tried again, some times, where a filter changes meanwhile (the server compares digests). Layers of one
   * geometry are joined bit by bit, others are kept side by side. Where the error rate would not hold, it rejects and changes
   * nothing. Counts of joined layers are estimates. The target keeps its expiry; a new one gets the longest of the sources'.
   * In a Cluster, all keys have to be in one slot.
   */
  merge(target: string, sources: readonly string[]): Promise<void>;
  /** All of the filter, undefined for a missing key: at most 512 MB, read at once. */
  dump(key: string): Promise<BloomDump | undefined>;
  /**
   * Writes all of a filter in one atomic step, if the keys of `unchanged` are byte for byte as they were dumped (undefined:
   * missing); gives false if one is not. The key itself has to be missing, unless `unchanged` names it, and then it is replaced. The
   * dump's `ttlMs` becomes its expiry.
   */
  load(key: string, dump: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>): Promise<boolean>;
  /**
   * Lua functions, for the beginning of a script that calls them: `bloom_check(key)` (the number of items, false for a missing key, an
   * error where it is no filter), `bloom_add(key, item, checked)` (with what bloom_check() gave; 1 if the item is new, else 0),
   * `bloom_add_all(key, items)`, `bloom_count(key)`, `bloom_which(key, items, budget)` (a list of 1 and 0 for the items that it looked up
   * within the budget, a number of about 1 µs each; how many they are; what they cost).
   */
  readonly lua: string;
  /** An item as those functions take it, to be sent as JSON: a text, or the bytes of its hash. RedisBloom's takes texts only, without a secret. */
  scriptItem(item: BloomItem): string | readonly number[];
  /** What goes into the filter for an item: the item itself, or its HMAC where there is a secret. */
  keyedItem(item: BloomItem): string | Buffer;
}
