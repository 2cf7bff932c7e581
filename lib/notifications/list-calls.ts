import { newerVersion, OptionError } from '../errors/errors.js';
import { namesUsersAlike } from '../intelligence/shape.js';
import type { Availability } from '../redis/availability.js';
import { namespaceOf } from '../redis/connect.js';
import type { Script, ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { DurableWrites, type WriteOutcome } from './durable-writes.js';
import { NotificationCalls } from './notification-calls.js';
import type { ResolvedNotificationsOptions } from './options.js';
import { type NotificationRecipient, type RecipientList, recipientList, RecipientLists } from './recipient-list.js';

/** The reply of the scripts that write: a number above 0 where they wrote, 0 where there was nothing to do, below 0 where they refused. */
export type OutcomeReply = readonly [outcome: number, ...more: unknown[]];

/** How long a check holds that this process names users as the site does. */
const CHECK_HOLDS_MS = 5_000;

/**
 * Reads and writes the lists of one namespace: computes their keys, checks that this process names users as the site does, and waits
 * for replicas where the option `durable` is set.
 */
export class ListCalls {
  readonly #target: RedisTarget;
  readonly #namespace: string;
  readonly #lists: RecipientLists;
  readonly #calls: NotificationCalls;
  readonly #durable: DurableWrites | undefined;
  /** Until when the last check holds, by performance.now(). */
  #usersCheckedUntilMs = 0;

  constructor(
    availability: Availability,
    readonly options: Pick<
      ResolvedNotificationsOptions,
      'redis' | 'namespace' | 'itemSecret' | 'maxWaitMs' | 'durable'
    >,
  ) {
    const { redis, namespace, maxWaitMs, durable } = options;
    this.#target = availability.target;
    this.#namespace = namespaceOf(redis, namespace);
    this.#lists = new RecipientLists(this.#namespace, this.#target.database);
    this.#calls = new NotificationCalls(availability, maxWaitMs + (durable?.timeoutMs ?? 0));
    if (durable) this.#durable = new DurableWrites(this.#target, durable, maxWaitMs);
  }

  /** The list of the recipient that a caller has given. */
  of(method: string, to: NotificationRecipient): RecipientList {
    return recipientList(method, this.#lists, to, this.options.itemSecret);
  }

  read<T>(list: RecipientList, work: () => Promise<T>): Promise<T> {
    return this.#calls.run(async (signal) => {
      await this.#checkUsers(list);
      signal.throwIfAborted();
      return work();
    });
  }

  /** Runs a script that may safely run twice. In its result `wasUnknown` says that an earlier attempt got no answer. */
  write<Reply extends OutcomeReply>(
    script: Script<Reply>,
    list: RecipientList,
    args: readonly ScriptArgument[],
    id: string,
  ): Promise<{ reply: Reply; wasUnknown: boolean }> {
    const keyAndArgs = [list.key, ...args];
    return this.#calls.run(async (signal, wasUnknown) => {
      await this.#checkUsers(list);
      signal.throwIfAborted();
      const reply = this.#durable
        ? await this.#durable.run(script, keyAndArgs, outcomeOf, signal)
        : await script.run(this.#target.client, keyAndArgs);
      if (reply[0] === -2) throw newerVersion('A list of notifications');
      return { reply, wasUnknown };
    }, id);
  }

  /** Waits for the calls under way, and ends the connections of durable writes; calls that begin later fail. */
  async close(timeoutMs: number): Promise<void> {
    await this.#calls.close(timeoutMs);
    this.#durable?.close();
  }

  /** Rejects where this process names users otherwise than the site does: it would publish to a list that nobody reads. */
  async #checkUsers({ group }: RecipientList): Promise<void> {
    if (group !== undefined || performance.now() < this.#usersCheckedUntilMs) return;
    const { itemSecret } = this.options;
    if ((await namesUsersAlike(this.#target.client, this.#namespace, itemSecret)) === false) {
      const is =
        itemSecret === undefined ? 'missing, and the site has one' : 'another than the site has, or it has none';
      throw new OptionError(
        `createNotifications(): option "itemSecret" is ${is}: nobody would read what is published to a user`,
      );
    }
    this.#usersCheckedUntilMs = performance.now() + CHECK_HOLDS_MS;
  }
}

const outcomeOf = ([outcome]: OutcomeReply): WriteOutcome =>
  outcome > 0 ? 'wrote' : outcome === 0 ? 'found' : 'nothing';
