import { IntelligentSessionError } from '../errors/errors.js';
import { intelligenceKey, isSendable } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { ASIDE_MS } from './command/aside.js';
import { storedItemsIn, unkeyed } from './command/stored-item.js';
import type { CarryCommand, CommandContext } from './command/descriptor.js';
import { keysOf, luaFiles } from './commands.js';
import { type CarriedKeys, OwnKeyCarrier } from './own-key-carrier.js';
import { standaloneScript } from './script.js';

/** The keys that commands/carry/set-aside.lua takes, in its order. */
const SET_ASIDE = [
  ...['carried', 'gone', 'activity', 'pages'],
  ...['visited', 'visited-items', 'notified', 'notified-items'],
] as const;
const EMPTY = Buffer.alloc(0);

/**
 * Carries what is kept of an anonymous visitor to the user as whom they log in. A script on the visitor's keys sets it aside,
 * one on the user's keys adds it, and what was set aside is removed, by the second script where both are on one server. Whoever
 * begins again after a crash goes on where the first one ended, and nothing is added twice.
 */
export class SubjectCarrier {
  readonly #setAside: Script<(Buffer | null)[] | null>;
  readonly #takeOver: Script<number>;
  readonly #userKeyNames: readonly string[];
  readonly #ownKeys: OwnKeyCarrier;

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly namespace: string,
    command: CarryCommand,
  ) {
    const [setAsideFile = '', ...takeOverFiles] = luaFiles(command);
    this.#userKeyNames = keysOf(command);
    this.#ownKeys = new OwnKeyCarrier(target, context, namespace);
    this.#setAside = new Script(loadScript(setAsideFile), SET_ASIDE.length);
    this.#takeOver = standaloneScript(context, this.#userKeyNames, takeOverFiles);
  }

  /** Carries what the built-in commands keep, and at the same time what the application's commands keep. */
  async carry(from: string, user: string, ttlSeconds: number): Promise<Carried> {
    if (!isSendable(from)) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'no subject');
    const carries = [this.#carryBuiltIn(from, user, ttlSeconds), this.#ownKeys.carry(from, user, ttlSeconds)] as const;
    await Promise.allSettled(carries); // where the caller tries both again, none is under way
    const [wasAdded, { count, fault }] = await Promise.all(carries);
    return { wasCarried: wasAdded || count > 0, fault };
  }

  async #carryBuiltIn(from: string, user: string, ttlSeconds: number): Promise<boolean> {
    const { items, bloom, messageAgeMs } = this.context;
    const fromKey = (name: string) => intelligenceKey(this.namespace, from, name);
    const { client } = this.target;
    const setAside = await this.#setAside.runBuffers(client, [...SET_ASIDE.map(fromKey), user, messageAgeMs, ASIDE_MS]);
    if (!setAside) return false;
    const [activity, pages, ...lists] = setAside.map((value) => value ?? EMPTY);
    const [visited = [], notified = []] = lists.map((list) => storedItemsIn(list.toString()));
    const moved = [visited, notified].map((list) => items.moved(list, from, user));
    const [pageTexts = unkeyed(visited), ids = unkeyed(notified)] = moved;
    // A HyperLogLog of keyed items can't be merged, since the user's are keyed otherwise: it is made of the moved texts.
    const isKeyed = visited.some((page) => page.startsWith('#'));
    const hyperLogLog = isKeyed ? EMPTY : (pages ?? EMPTY);
    const message = {
      ttl: ttlSeconds * 1000,
      pages: pageTexts.map((item) => bloom.scriptItem(item)),
      notifications: ids.map((item) => bloom.scriptItem(item)),
      texts: hyperLogLog.length === 0 ? pageTexts : [],
      from,
      asideMs: ASIDE_MS,
    };
    const keys = this.#userKeyNames.map((name) => intelligenceKey(this.namespace, user, name));
    if (this.target.sharesCalls) keys.push(fromKey('carried'));
    const argv = [JSON.stringify(message), activity ?? EMPTY, hyperLogLog];
    const added = await this.#takeOver.runBuffers(client, [...keys, ...argv], keys.length);
    if (!this.target.sharesCalls) await client.unlink(fromKey('carried'));
    // All else was carried; the command fails, so that whoever asked has a degraded answer, and the fault says what is missing.
    if (moved.includes(undefined)) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', NO_SECRET);
    return Number(added) === 1;
  }
}

interface Carried extends Pick<CarriedKeys, 'fault'> {
  readonly wasCarried: boolean;
}

const NO_SECRET =
  'A visitor logged in whose pages are keyed, and this process has no "itemSecret": what was counted was carried to the user, which of these pages were seen was not';
