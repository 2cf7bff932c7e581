import { IntelligentSessionError } from '../errors/errors.js';
import { intelligenceKey, isSendable } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { ASIDE_MS } from './command/aside.js';
import { storedItemsIn } from './command/stored-item.js';
import type { CarryCommand, CommandContext } from './command/descriptor.js';
import { keysOf, luaFiles } from './commands.js';
import { type CarriedKeys, OwnKeyCarrier } from './own-key-carrier.js';
import { ownScript } from './script.js';

/** The keys of set-aside.lua, in its order. */
const SET_ASIDE = [
  ...['carried', 'gone', 'activity', 'pages'],
  ...['visited', 'visited-items', 'notified', 'notified-items'],
] as const;
const EMPTY = Buffer.alloc(0);

/**
 * Carries what is kept of one subject to another: a script at the one sets it aside, a script at the other adds it, and what was set
 * aside is removed, in the second script where both are on one server. Whoever begins again after a crash goes on where the first one
 * ended, and nothing is added twice.
 */
export class SubjectCarrier {
  readonly #setAside: Script<(Buffer | null)[] | null>;
  readonly #takeOver: Script<number>;
  readonly #names: readonly string[];
  readonly #ownKeys: OwnKeyCarrier;

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly namespace: string,
    command: CarryCommand,
  ) {
    const [setAside = '', ...takeOver] = luaFiles(command);
    this.#names = keysOf(command);
    this.#ownKeys = new OwnKeyCarrier(target, context, namespace);
    this.#setAside = new Script(loadScript(setAside), SET_ASIDE.length);
    this.#takeOver = ownScript(context, this.#names, takeOver);
  }

  /** Carries from `from` to `user`: was there something? What the application's commands keep goes at the same time. */
  async carry(from: string, user: string, ttlSeconds: number): Promise<Carried> {
    if (!isSendable(from)) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'no subject');
    const both = [this.#carryCounts(from, user, ttlSeconds), this.#ownKeys.carry(from, user, ttlSeconds)] as const;
    await Promise.allSettled(both); // what is tried again is not under way any longer
    const [wasCounted, { count, fault }] = await Promise.all(both);
    return { wasAny: wasCounted || count > 0, fault };
  }

  /** What the built-in commands keep. */
  async #carryCounts(from: string, user: string, ttlSeconds: number): Promise<boolean> {
    const { items, bloom, messageAgeMs } = this.context;
    const key = (name: string) => intelligenceKey(this.namespace, from, name);
    const { client } = this.target;
    const aside = await this.#setAside.runBuffers(client, [...SET_ASIDE.map(key), user, messageAgeMs, ASIDE_MS]);
    if (!aside) return false;
    const [activity, pages, ...lists] = aside.map((value) => value ?? EMPTY);
    const [visited, notified] = lists.map((list) => storedItemsIn(list.toString()));
    const [pageTexts, ids] = [visited, notified].map((list = []) => items.moved(list, from, user));
    const isKeyed = visited?.[0]?.startsWith('#') ?? false;
    const merged = isKeyed ? EMPTY : (pages ?? EMPTY);
    const message = {
      ttl: ttlSeconds * 1000,
      pages: (pageTexts ?? []).map((item) => bloom.scriptItem(item)),
      notifications: (ids ?? []).map((item) => bloom.scriptItem(item)),
      texts: merged.length === 0 ? (pageTexts ?? []) : [],
      from,
      asideMs: ASIDE_MS,
    };
    const keys = this.#names.map((name) => intelligenceKey(this.namespace, user, name));
    if (this.target.sharesCalls) keys.push(key('carried'));
    const argv = [JSON.stringify(message), activity ?? EMPTY, merged];
    const added = await this.#takeOver.runBuffers(client, [...keys, ...argv], keys.length);
    if (!this.target.sharesCalls) await client.unlink(key('carried'));
    if (!pageTexts || !ids) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', NO_SECRET);
    return Number(added) === 1;
  }
}

interface Carried extends Pick<CarriedKeys, 'fault'> {
  /** Was there something? */
  readonly wasAny: boolean;
}

const NO_SECRET =
  'A visitor logged in whose pages are keyed, and this process has no "itemSecret": what was counted was carried to the user, which pages were seen was not';
