import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisClient } from './client.js';

export type ScriptArgument = string | number | Buffer;

/** A Lua script. It is sent by its hash, and by its text where the server does not know it (first use, SCRIPT FLUSH, failover). */
export class Script<Reply = unknown> {
  readonly #sha: string;
  /** Was there a reply? */
  #isKnown = false;
  constructor(
    readonly lua: string,
    readonly keys = 1,
    /** Its text is sent until a reply has come: somebody waits for several scripts in turn, and asking by the hash would double their round trips. */
    readonly textFirst = false,
  ) {
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const byText = () => client.eval(this.lua, keys, ...keysAndArguments);
    return this.#reply(() => client.evalsha(this.#sha, keys, ...keysAndArguments), byText);
  }

  /** Sends the text, so that the call keeps its place among the connection's commands, whether the server knows it or not. */
  async eval(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    return (await client.eval(this.lua, keys, ...keysAndArguments)) as Reply;
  }

  /** Loads the script whenever `client` connects, before anything else is sent there, so that calls keep their order. */
  loadAtReady(client: Redis): void {
    const load = () => void client.script('LOAD', this.lua).catch(() => {}); // the first call will fail, too
    client.on('ready', load);
    if (client.status === 'ready') load();
  }

  /** Like run(), with the texts of the reply as bytes. */
  async runBuffers(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const bytes = client as unknown as Bytes;
    const byText = () => bytes.evalBuffer(this.lua, keys, ...keysAndArguments);
    return this.#reply(() => bytes.evalshaBuffer(this.#sha, keys, ...keysAndArguments), byText);
  }

  async #reply(byHash: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<Reply> {
    const isByText = this.textFirst && !this.#isKnown;
    const reply = isByText
      ? byText()
      : byHash().catch((error) => {
          if (!isUnknownScript(error)) throw error;
          return byText();
        });
    const replied = (await reply) as Reply;
    this.#isKnown = true;
    return replied;
  }
}

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT');

/** Sends a command that ioredis does not know, on one key: ioredis finds the node by the script's key. */
export const anyCommand = new Script('return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))');

/** Methods that ioredis has and its types lack. */
type Bytes = Record<
  'evalshaBuffer' | 'evalBuffer',
  (script: string, keys: number, ...rest: ScriptArgument[]) => Promise<unknown>
>;
