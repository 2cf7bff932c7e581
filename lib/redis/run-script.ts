import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisClient } from './client.js';

export type ScriptArgument = string | number | Buffer;

/** A Lua script, called by its hash, and by its text where the server does not have it (first use, SCRIPT FLUSH, failover). */
export class Script<Reply = unknown> {
  readonly #sha: string;
  /** Has a server replied to this script? Then it has the script. */
  #hasReplied = false;
  constructor(
    readonly lua: string,
    /** How many keys a call has, unless the call says another number. */
    readonly keys = 1,
    /** Send the text until a reply has come: for scripts run one after the other, where each NOSCRIPT costs a round trip. */
    readonly textFirst = false,
  ) {
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const byText = () => client.eval(this.lua, keys, ...keysAndArguments);
    return this.#reply(() => client.evalsha(this.#sha, keys, ...keysAndArguments), byText);
  }

  /** Calls the script by its text, so that no NOSCRIPT sends the call a second time, behind commands that came after it. */
  async eval(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    return (await client.eval(this.lua, keys, ...keysAndArguments)) as Reply;
  }

  /** Loads the script at each connection of `client`, before other commands, so that no NOSCRIPT changes the calls' order. */
  loadAtReady(client: Redis): void {
    const load = () => void client.script('LOAD', this.lua).catch(() => {}); // the first call reports the fault
    client.on('ready', load);
    if (client.status === 'ready') load();
  }

  /** Like run(), but gives the texts of the reply as Buffers. */
  async runBuffers(client: RedisClient, keysAndArguments: readonly ScriptArgument[], keys = this.keys): Promise<Reply> {
    const typed = client as unknown as BufferMethods;
    const byText = () => typed.evalBuffer(this.lua, keys, ...keysAndArguments);
    return this.#reply(() => typed.evalshaBuffer(this.#sha, keys, ...keysAndArguments), byText);
  }

  async #reply(byHash: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<Reply> {
    const isByText = this.textFirst && !this.#hasReplied;
    const reply = isByText
      ? byText()
      : byHash().catch((error) => {
          if (!isUnknownScript(error)) throw error;
          return byText();
        });
    const replied = (await reply) as Reply;
    this.#hasReplied = true;
    return replied;
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
