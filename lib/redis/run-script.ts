import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

export type ScriptArgument = string | number | Buffer;

/** A Lua script, sent by its hash and loaded where the server does not know it (first use, SCRIPT FLUSH, failover). */
export class Script<Reply = unknown> {
  readonly #sha: string;
  constructor(
    readonly lua: string,
    readonly keys: number,
  ) {
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(client: Redis, keysAndArguments: readonly ScriptArgument[]): Promise<Reply> {
    try {
      return (await client.evalsha(this.#sha, this.keys, ...keysAndArguments)) as Reply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await client.eval(this.lua, this.keys, ...keysAndArguments)) as Reply;
    }
  }
}
