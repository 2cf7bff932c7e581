import { targetOf } from '../redis/open-target.js';
import { anyCommand, type Script, type ScriptArgument } from '../redis/run-script.js';
import type { RedisClient } from '../redis/client.js';
import type { RedisTarget } from '../redis/target.js';
import { bloomFault } from './bloom-error.js';
import type { BloomDump, BloomInfo, BloomItem, BloomOptions, ResolvedShape } from './bloom-filter.js';
import { areOne } from './bloom-items.js';
import { headerOf, MODULE_TYPE, parseForm } from './filter-format.js';
import { StoredFilter, ttlOf } from './stored-filter.js';

const MISSING = /not found|does not exist/i;
/** The size of BF.SCANDUMP's own chunks. */
const CHUNK_BYTES = 16 * 1024 * 1024;

/** BF.* of the module RedisBloom (also in Redis 8). https://redis.io/docs/latest/commands/bf.add/ */
export class RedisBloomFilter extends StoredFilter {
  readonly implementation = 'module';
  readonly #dump: Script<[number, ...Buffer[]]>;
  readonly #target: RedisTarget;

  constructor(client: RedisClient, options: BloomOptions = {}) {
    super(client, options, 'lib/bloom/redis-bloom.lua');
    this.#target = targetOf(client);
    this.#dump = this.script('return bloom_dump(KEYS[1])');
  }

  /** Only text: JSON has no bytes, which are what an item is in a filter with a secret. */
  scriptItem(item: BloomItem): string {
    const text = this.keyedItem(item);
    if (typeof text !== 'string') throw new TypeError('a script takes no bytes as an item');
    return text.toWellFormed();
  }

  protected reserveShape(key: string, shape: ResolvedShape): Promise<unknown> {
    return this.#call('BF.RESERVE', key, shape.errorRate, shape.capacity, ...scalingOf(shape));
  }

  protected async addBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    const { errorRate, capacity } = this.shape;
    const shape = ['CAPACITY', capacity, 'ERROR', errorRate, ...scalingOf(this.shape)];
    const replies = await this.#call('BF.INSERT', key, ...shape, 'ITEMS', ...items.map(this.keyedItem));
    // of an item that a full filter did not take, the reply is an error
    for (const reply of replies) if (reply instanceof Error) throw bloomFault(reply);
    return areOne(replies);
  }

  /** TYPE is asked in the same round trip, since BF.MEXISTS alone takes a string for an empty filter. */
  protected async existsBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return this.withOurErrors(key, async () => {
      const [type, replies] = await Promise.all([
        this.client.type(key),
        this.#call('BF.MEXISTS', key, ...items.map(this.keyedItem)),
      ]);
      if (type !== MODULE_TYPE && type !== 'none') throw new Error('WRONGTYPE');
      return areOne(replies);
    });
  }

  info(key: string): Promise<BloomInfo | undefined> {
    return this.withOurErrors(key, async () => {
      const reply = (await anyCommand.run(this.client, [key, 'BF.INFO']).catch((error) => {
        if (MISSING.test(String(error))) return undefined;
        throw error;
      })) as unknown[] | undefined;
      if (!reply) return undefined;
      const field = (name: string) => reply[reply.indexOf(name) + 1];
      const expansion = field('Expansion rate');
      return {
        capacity: Number(field('Capacity')),
        layers: Number(field('Number of filters')),
        items: Number(field('Number of items inserted')),
        expansion: expansion === null ? undefined : Number(expansion),
      };
    });
  }

  dump(key: string): Promise<BloomDump | undefined> {
    return this.withOurErrors(key, async () => {
      const [ttl, ...chunks] = await this.#dump.runBuffers(this.client, [key]);
      if (chunks.length === 0) return undefined;
      const bytes = Buffer.concat(chunks);
      parseForm(bytes);
      return { bytes, ttlMs: ttlOf(ttl) };
    });
  }

  /** The header with iterator 1; then each layer's bytes in chunks, whose iterators are those that BF.SCANDUMP would give. */
  protected loadArguments(bytes: Buffer): ScriptArgument[] {
    const chunks: ScriptArgument[] = [1, headerOf(bytes)];
    let iterator = 1;
    for (const { at, bits } of parseForm(bytes).layers)
      for (let from = at; from < at + bits / 8; from += CHUNK_BYTES) {
        const chunk = bytes.subarray(from, Math.min(from + CHUNK_BYTES, at + bits / 8));
        iterator += chunk.length;
        chunks.push(iterator, chunk);
      }
    return chunks;
  }

  protected async holdsOtherForm(key: string): Promise<boolean> {
    return (await this.client.getrange(key, 0, 6)) === 'ISBLOOM';
  }

  #call(command: string, key: string, ...args: ScriptArgument[]): Promise<unknown[]> {
    return this.withOurErrors(key, () => this.#target.callOnKey(command, key, args)) as Promise<unknown[]>;
  }
}

const scalingOf = ({ nonScaling, expansion }: ResolvedShape): ScriptArgument[] =>
  nonScaling ? ['NONSCALING'] : ['EXPANSION', expansion];
