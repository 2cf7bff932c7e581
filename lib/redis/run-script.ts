import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisClient } from './client.js';

export type ScriptArgument = string | number | Buffer;

/**
 * A Lua script. Its text is sent until a server has replied to it, since to ask for it by its hash would cost the first request of a process
 * another round trip. From then on it is sent by its hash, and by its text where the server does not know it (SCRIPT FLUSH, failover, another
 * node of a Cluster).
 */
export class Script<Reply = unknown> {
  readonly #sha: string;
  /** The connections whose server has replied to it, or was sent it beforehand. */
  readonly #knownAt = new WeakSet<RedisClient>();
  constructor(
    readonly lua: string,
    /** How many keys a call has, unless the call says another number. */
    readonly keys = 1,
  ) {
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const byText = () => client.eval(this.lua, keys, ...keysAndArguments);
    return this.#reply(client, () => client.evalsha(this.#sha, keys, ...keysAndArguments), byText);
  }

  /**
   * Calls the script by its text, so that no NOSCRIPT sends the call a second time, behind commands that came after it. For scripts that are
   * called seldom; those that keep their order and are called often are loaded by loadAtReady().
   */
  async eval(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    return (await client.eval(this.lua, keys, ...keysAndArguments)) as Reply;
  }

  /** Loads the script at each connection of `client`, before other commands, so that no NOSCRIPT changes the calls' order. */
  loadAtReady(client: Redis): void {
    const load = () => {
      client.script('LOAD', this.lua).catch(() => {}); // where it is refused, the first call goes by its text, after a NOSCRIPT
      this.#knownAt.add(client);
    };
    client.on('ready', load);
    if (client.status === 'ready') load();
  }

  /** Like run(), but gives the texts of the reply as Buffers. */
  async runBuffers(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const bytes = client as unknown as BufferMethods;
    const byText = () => bytes.evalBuffer(this.lua, keys, ...keysAndArguments);
    return this.#reply(client, () => bytes.evalshaBuffer(this.#sha, keys, ...keysAndArguments), byText);
  }

  async #reply(client: RedisClient, byHash: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<Reply> {
    if (!this.#knownAt.has(client)) {
      const reply = (await byText()) as Reply;
      this.#knownAt.add(client);
      return reply;
    }
    return byHash().catch((error) => {
      if (!isUnknownScript(error)) throw error;
      return byText();
    }) as Promise<Reply>;
  }
}

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT');

/** Calls a command of one key that ioredis does not know: in a Cluster ioredis finds the node by the script's key. */
export const anyCommand = new Script('return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))');

/** Methods that ioredis has and its types lack. */
type BufferMethods = Record<
  'evalshaBuffer' | 'evalBuffer',
  (script: string, keys: number, ...rest: ScriptArgument[]) => Promise<unknown>
>;
