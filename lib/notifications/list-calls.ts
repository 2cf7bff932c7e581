import { newerVersion, OptionError } from '../errors/errors.js';
import { userSubject } from '../intelligence/command/subject.js';
import { isKeyed, ItemKey } from '../intelligence/item-key.js';
import { isShaped } from '../intelligence/shape.js';
import type { Availability } from '../redis/availability.js';
import { namespaceOf } from '../redis/connect.js';
import type { Script, ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { DurableWrites, type WriteOutcome } from './durable-writes.js';
import { NotificationCalls } from './notification-calls.js';
import type { ResolvedNotificationsOptions } from './options.js';
import { type Recipient, type RecipientList, RecipientLists } from './recipient-list.js';

/** The reply of the scripts that write: a number above 0 where they wrote, 0 where nothing was to be changed, below 0 where they refused. */
export type OutcomeReply = readonly [outcome: number, ...more: unknown[]];

/** For so long a process that found no stored item key does not ask Redis again whether that is so because the site has no secret. */
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
  readonly #itemKey: ItemKey;
  /** Until this time of performance.now() the last check holds: nothing stored says that the site has another kind of item key. */
  #checkHoldsUntilMs = 0;

  constructor(
    availability: Availability,
    options: Pick<ResolvedNotificationsOptions, 'redis' | 'namespace' | 'itemSecret' | 'maxWaitMs' | 'durable'>,
  ) {
    const { redis, namespace, maxWaitMs, durable } = options;
    this.#target = availability.target;
    this.#namespace = namespaceOf(redis, namespace);
    this.#lists = new RecipientLists(this.#namespace, this.#target.database);
    this.#itemKey = new ItemKey(availability, this.#namespace, options.itemSecret, {
      loadEnded: () => {},
      // The next call reads the key again, and rejects where no secret of this process gives it.
      replaced: () => this.#itemKey.forget(),
    });
    // one limit for all calls, also for those that wait for no replicas
    this.#calls = new NotificationCalls(availability, maxWaitMs + (durable?.timeoutMs ?? 0));
    if (durable) this.#durable = new DurableWrites(this.#target, durable, maxWaitMs);
  }

  /** Runs what only reads. `id` and `mayHaveRun` where it belongs to a write: the notification's id, and whether that write may have been made. */
  read<T>(to: Recipient, work: (list: RecipientList) => Promise<T>, id?: string, mayHaveRun?: boolean): Promise<T> {
    return this.#calls.run(
      async ({ signal }) => {
        const list = await this.#listOf(to);
        signal.throwIfAborted();
        return work(list);
      },
      id,
      mayHaveRun,
    );
  }

  /** Runs a script that may safely run twice. `id`: the notification's. `mayHaveRun`: an earlier attempt got no answer. */
  write<Reply extends OutcomeReply>(
    script: Script<Reply>,
    to: Recipient,
    argsOf: (list: RecipientList) => readonly ScriptArgument[],
    id: string,
  ): Promise<{ reply: Reply; mayHaveRun: boolean }> {
    return this.#calls.run(async ({ signal, mayHaveRun, willWrite }) => {
      const list = await this.#listOf(to);
      signal.throwIfAborted();
      const keyAndArgs = [list.key, ...argsOf(list)];
      willWrite();
      const reply = this.#durable
        ? await this.#durable.run(script, keyAndArgs, outcomeOf, signal)
        : await script.run(this.#target.client, keyAndArgs);
      if (reply[0] === -2) throw newerVersion('A list of notifications');
      return { reply, mayHaveRun };
    }, id);
  }

  /** Waits for the calls under way, and ends the connections of durable writes; calls that begin later fail. */
  async close(timeoutMs: number): Promise<void> {
    await this.#calls.close(timeoutMs);
    this.#durable?.close();
    this.#itemKey.close();
  }

  /** The list of a recipient. Rejects where this process names users otherwise than the site does: nobody would read what it publishes. */
  async #listOf({ group, user }: Recipient): Promise<RecipientList> {
    if (group !== undefined) return this.#lists.group(group);
    const { keyIfNone } = this.#itemKey;
    const hasSecret = keyIfNone !== undefined;
    // Sites and workers make the key, which have the same secret: a key that is stored says that the site has one.
    await this.#itemKey.load({ makes: false });
    const { value } = this.#itemKey;
    if (value === undefined && performance.now() >= this.#checkHoldsUntilMs) {
      const { client } = this.#target;
      // There is no key: where a site or its worker has run, which store the shape, they have no secret. Before that, nobody knows.
      const differs = await (hasSecret ? isShaped : isKeyed)(client, this.#namespace);
      if (differs)
        throw new OptionError(
          `createNotifications(): option "itemSecret" is ${hasSecret ? 'given, and the site has none' : 'missing, and the site has one'}: ` +
            'nobody would read what is published to a user',
        );
      this.#checkHoldsUntilMs = performance.now() + CHECK_HOLDS_MS;
    }
    return this.#lists.subject(userSubject(user, value ?? keyIfNone));
  }
}

const outcomeOf = ([outcome]: OutcomeReply): WriteOutcome =>
  outcome > 0 ? 'wrote' : outcome === 0 ? 'found' : 'nothing';
