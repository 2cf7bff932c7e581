import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisClient } from './client.js';

export type ScriptArgument = string | number | Buffer;

/** A Lua script, sent by its hash and loaded where the server does not know it (first use, SCRIPT FLUSH, failover). */
export class Script<Reply = unknown> {
  readonly #sha: string;
  constructor(
    readonly lua: string,
    readonly keys = 1,
  ) {
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    try {
      return (await client.evalsha(this.#sha, keys, ...keysAndArguments)) as Reply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await client.eval(this.lua, keys, ...keysAndArguments)) as Reply;
    }
  }

  /** By its text: it keeps its place among the commands of the connection, whether the server knows it or not. */
  async eval(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    return (await client.eval(this.lua, keys, ...keysAndArguments)) as Reply;
  }

  /** Loads it wherever `client` is connected anew, before anything else is sent there: calls then keep their order. */
  loadAtReady(client: Redis): void {
    const load = () => void client.script('LOAD', this.lua).catch(() => {}); // a call will tell
    client.on('ready', load);
    if (client.status === 'ready') load();
  }

  /** The same, its texts as bytes. */
  async runBuffers(client: RedisClient, keysAndArguments: readonly ScriptArgument[]): Promise<Reply> {
    const bytes = client as unknown as Bytes;
    try {
      return (await bytes.evalshaBuffer(this.#sha, this.keys, ...keysAndArguments)) as Reply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await bytes.evalBuffer(this.lua, this.keys, ...keysAndArguments)) as Reply;
    }
  }
}

/** One command on one key, which ioredis need not know: the key is the script's. */
export const anyCommand = new Script('return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))');

/** What ioredis has and its types have not. */
type Bytes = Record<
  'evalshaBuffer' | 'evalBuffer',
  (script: string, keys: number, ...rest: ScriptArgument[]) => Promise<unknown>
>;
