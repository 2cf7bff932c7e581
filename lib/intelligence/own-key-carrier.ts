import { randomBytes } from 'node:crypto';
import { IntelligentSessionError } from '../errors/errors.js';
import { intelligenceKey } from '../redis/keys.js';
import type { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { ASIDE_MS } from './command/aside.js';
import type { CommandContext } from './command/descriptor.js';
import { ownKeyScript } from './own-key-script.js';

/** What carry.lua and take-over.lua reply: how many keys there were, and each that could not be merged, with the reason. */
type MergeReply = [count: number, ...faults: string[]];

/** How many keys were carried (on one server those without a value count, too), and an error where some could not be merged. */
export interface CarriedKeys {
  readonly count: number;
  readonly fault?: Error | undefined;
}

/**
 * Carries the keys of an application's commands from an anonymous visitor to a user. Where both are on one server one script
 * does it. In a Cluster the visitor's keys are renamed, their values are sent to the user's node and merged there once, and the
 * renamed keys are removed; a process that begins again after a crash goes on where the first one ended.
 */
export class OwnKeyCarrier {
  readonly #carry: Script<MergeReply>;
  readonly #takeOver: Script<MergeReply>;
  readonly #setAside: Script<Buffer[]>;
  readonly #clearAside: Script<null>;

  constructor(
    readonly target: RedisTarget,
    readonly context: Pick<CommandContext, 'messageAgeMs'>,
    readonly namespace: string,
  ) {
    this.#carry = ownKeyScript('kept-with', 'merge', 'carry');
    this.#takeOver = ownKeyScript('kept-with', 'merge', 'take-over');
    this.#setAside = ownKeyScript('set-aside');
    this.#clearAside = ownKeyScript('clear-aside');
  }

  /** One script call; in a Cluster three for each time that keys are found, and one more that finds none. */
  async carry(from: string, user: string, ttlSeconds: number): Promise<CarriedKeys> {
    const { messageAgeMs } = this.context;
    const message = { user, ttl: ttlSeconds * 1000, messageAgeMs };
    if (!this.target.sharesCalls) return this.#carryInCluster(from, user, message.ttl);
    const keys = [...this.#keys(from, 'own', 'gone'), ...this.#keys(user, 'own', 'gone', 'activity')];
    return carriedKeys(await this.#carry.run(this.target.client, [...keys, JSON.stringify(message)], keys.length));
  }

  async #carryInCluster(from: string, user: string, ttl: number): Promise<CarriedKeys> {
    const { client } = this.target;
    const { messageAgeMs } = this.context;
    const source = this.#keys(from, 'own', 'gone');
    let count = 0;
    let fault: Error | undefined;
    // What set-aside.lua gives may have been set aside by an earlier call: what was written since is set aside the next time.
    for (let times = 0; times < MAX_TIMES; times++) {
      const asked = { user, id: randomBytes(12).toString('base64url'), messageAgeMs, asideMs: ASIDE_MS };
      const [id, ...aside] = await this.#setAside.runBuffers(client, [...source, JSON.stringify(asked)], source.length);
      if (!id) break;
      const part = (which: 0 | 1 | 2) => aside.filter((_, i) => i % 3 === which); // by turns: name, merge, value
      const [names, merges] = [part(0).map(String), part(1).map(String)];
      const message = { aside: `${from} ${String(id)}`, ttl, asideMs: ASIDE_MS, names, merges };
      const keys = this.#keys(user, 'own', 'gone', 'activity', 'merged');
      const argv = [JSON.stringify(message), ...part(2)];
      const merged = carriedKeys(await this.#takeOver.run(client, [...keys, ...argv], keys.length));
      await this.#clearAside.run(client, [...this.#keys(from, 'own'), JSON.stringify({ id: String(id) })]);
      count += merged.count;
      fault ??= merged.fault; // one is enough: it says that keys of the commands don't fit
    }
    return { count, fault };
  }

  #keys(subject: string, ...names: readonly string[]): string[] {
    return names.map((name) => intelligenceKey(this.namespace, subject, name));
  }
}

/** How often keys are set aside: a command that goes on writing does not keep a login's carry for ever. */
const MAX_TIMES = 4;

function carriedKeys([count, ...faults]: MergeReply): CarriedKeys {
  if (faults.length === 0) return { count };
  const text = `A visitor logged in, and keys of your commands could not be merged into the user's, which stay as they are: ${faults.join('; ')}`;
  return { count, fault: new IntelligentSessionError('ERR_INTELLIGENT_SESSION_COMMAND', text) };
}
