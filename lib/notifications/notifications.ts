import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { IntelligentSessionError, newerVersion, OptionError, redisFault } from '../errors/errors.js';
import { WarnOnce } from '../errors/warnings.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { argumentError, optionsOf } from '../options/check-arguments.js';
import { Availability } from '../redis/availability.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import { corkWrites } from '../redis/cork-writes.js';
import { endConnection } from '../redis/end-connection.js';
import { loadScript } from '../redis/load-script.js';
import { logAvailability } from '../redis/log-availability.js';
import { openTarget } from '../redis/open-target.js';
import { Script, type ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { CLOSE_TIMEOUT_MS } from '../redis/unfinished-work.js';
import {
  checkChanges,
  checkNewNotification,
  checkNotificationId,
  formatContent,
  type NewNotification,
  type Notification,
  type NotificationChanges,
  type NotificationContent,
} from './notification.js';
import {
  type NotificationsOptions,
  type ResolvedNotificationsOptions,
  resolveNotificationsOptions,
} from './options.js';
import { ListCalls, type OutcomeReply } from './list-calls.js';
import { checkRecipient, type NotificationRecipient, type Recipient, type RecipientList } from './recipient-list.js';
import { UnconfirmedError } from './unconfirmed-error.js';
import { contentOf, parseItem, parseList, scheduledItems, toNotification, visibleItems } from './stored-list.js';

// Each script says what its outcomes are. `untold` is why nobody could be told of the change, or ''.
const publishScript = new Script<[outcome: number, position: string, untold: string]>(
  loadScript('lib/notifications/publish.lua'),
);
const editScript = new Script<[outcome: number, untold: string]>(loadScript('lib/notifications/edit.lua'));
const removeScript = new Script<[outcome: number, untold: string]>(loadScript('lib/notifications/remove.lua'));
const listScript = new Script<string[]>(loadScript('lib/notifications/list.lua'));

const DAY_US = 86_400_000_000;
/** How often an edit is tried, each time after another process has edited the notification meanwhile. */
const MAX_TRIES = 100;

export interface ListOptions {
  /** How many at most. @default all of them */
  readonly limit?: number | undefined;
  /** Only those that are to be seen later, the next one first. @default false */
  readonly scheduled?: boolean | undefined;
}

export interface EditOptions {
  /** Everybody has it as unread again, and it stands first: as if it were published now. @default false */
  readonly again?: boolean | undefined;
}

interface NotificationsEvents {
  /** Redis can't be reached: calls wait for it, for `maxWaitMs` at most. */
  away: [reason: Error];
  /** Redis can be reached, at first or again. */
  back: [];
  /** A connection could not be made, or nobody could be told of a change. */
  fault: [error: Error];
}

/**
 * Publishes notifications, from any process: one write whatever the group's size. Every method returns a promise, and what is wrong with
 * an argument rejects it with an OptionError before anything is sent.
 */
export class Notifications extends EventEmitter<NotificationsEvents> {
  readonly #options: ResolvedNotificationsOptions;
  readonly #target: RedisTarget;
  readonly #lists: ListCalls;
  readonly #warnings = new WarnOnce();
  readonly #metrics = new Metrics();
  readonly #total = this.#metrics.counter(
    'intelligent_session_notifications_total',
    'What became of notifications: published, scheduled, repeated, edited, removed, unconfirmed, not_durable, refused, untold',
    ['event'],
  );
  #closing: Promise<void> | undefined;

  constructor(given: NotificationsOptions = {}) {
    super();
    this.#options = resolveNotificationsOptions(given);
    const { redis, maxWaitMs } = this.#options;
    this.#target = openTarget(redis, maxWaitMs);
    corkWrites(this.#target);
    onConnectionFault(this.#target.client, (error) => this.#fault(error));
    const availability = new Availability(this.#target.client, maxWaitMs);
    availability.on('back', () => this.emit('back'));
    logAvailability(
      availability,
      'nothing can be published',
      // once this is closed, nobody is told
      (reason) => this.#closing !== undefined || this.emit('away', redisFault(reason)),
    );
    this.#lists = new ListCalls(availability, this.#options);
  }

  /** A registry of prom-client's, an optional peer: where it is not installed, an error (`ERR_INTELLIGENT_SESSION_METRICS`). */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  /**
   * Publishes to everyone in a group, or to one user, and gives the notification's id when Redis has it. The same id again is the same
   * notification: nothing changes. Costs one script.
   */
  async publish(to: NotificationRecipient, notification: NewNotification): Promise<string> {
    checkNewNotification('publish', notification);
    const recipient = checkRecipient('publish', to);
    const { maxPerGroup, maxBytes, keepForDays } = this.#options;
    const { id = randomBytes(12).toString('base64url'), publishAt, expires } = notification;
    const json = formatContent('publish', id, notification, maxBytes);
    const times = [usOf(publishAt), usOf(expires), keepForDays * DAY_US];
    const argsOf = ({ channel }: RecipientList) => [id, json, ...times, maxPerGroup, channel, JSON.stringify(id)];
    const { reply } = await this.#write(publishScript, recipient, argsOf, id);
    const [outcome, , untold] = reply;
    if (outcome === -1) {
      this.#total.of('refused').inc();
      throw new IntelligentSessionError(
        'ERR_INTELLIGENT_SESSION_TOO_MANY',
        `publish(): ${maxPerGroup} notifications of this list are planned for later, and it may have no more (option "maxPerGroup")`,
      );
    }
    this.#total.of(outcome === 0 ? 'repeated' : outcome === 2 ? 'scheduled' : 'published').inc();
    this.#reportUntold(untold);
    return id;
  }

  /**
   * Changes a notification's fields; null takes one away. It stays read for those who have read it, unless it is to be unread `again`.
   * False: the list does not have it. Costs HGET and one script, each again where another process changed it between them.
   */
  async edit(
    to: NotificationRecipient,
    id: string,
    changes: NotificationChanges,
    options?: EditOptions | null,
  ): Promise<boolean> {
    checkNotificationId('edit', id);
    checkChanges('edit', changes);
    const { again = false, ...unknown } = optionsOf('edit', options);
    refuseUnknownOptions('edit', unknown);
    if (typeof again !== 'boolean') throw argumentError('edit', '"again" to be true or false', again);
    const recipient = checkRecipient('edit', to);
    const { maxBytes, keepForDays } = this.#options;
    const { expires, ...content } = changes;
    // edit.lua: '' keeps the expiry as it is, 0 takes away the publisher's
    const ends = expires === undefined ? '' : usOf(expires ?? undefined);
    // A write without an answer may have been made: then the next one finds that the notification was changed.
    let mayBeWritten = false as boolean;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const get = ({ key }: { readonly key: string }) => this.#target.client.hget(key, id);
      const stored: string | null = await this.#lists.read(recipient, get, id, mayBeWritten);
      if (stored === null) return false;
      const item = parseItem(id, stored);
      if (!item) throw newerVersion('A notification');
      if (expires && expires.getTime() * 1000 <= item.position)
        throw argumentError('edit', '"expires" to be after the time from which it is seen', expires);
      const json = formatContent('edit', id, edited(contentOf(item), content), maxBytes);
      const args = [id, stored, json, ends, keepForDays * DAY_US, again ? 1 : 0];
      const { reply, mayHaveRun } = await this.#write(editScript, recipient, ({ channel }) => [...args, channel], id);
      const [outcome, untold] = reply;
      mayBeWritten ||= mayHaveRun;
      if (outcome === -1) continue; // it was changed since it was read
      if (outcome !== 0) this.#total.of('edited').inc();
      this.#reportUntold(untold);
      return outcome !== 0;
    }
    const why = `edit(): others changed the notification ${MAX_TRIES} times meanwhile`;
    if (mayBeWritten)
      throw new UnconfirmedError('ERR_INTELLIGENT_SESSION_UNCONFIRMED', `${why}: it may be written or not`, id);
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_CONFLICT', `${why}; nothing was written`);
  }

  /** Removes a notification, also one that is to be seen later. False: the list did not have it. Costs one script. */
  async remove(to: NotificationRecipient, id: string): Promise<boolean> {
    checkNotificationId('remove', id);
    const recipient = checkRecipient('remove', to);
    const { reply, mayHaveRun } = await this.#write(removeScript, recipient, ({ channel }) => [id, channel], id);
    const [outcome, untold] = reply;
    // an earlier attempt that got no answer may have removed the notification
    const isRemoved = outcome === 1 || mayHaveRun;
    if (isRemoved) this.#total.of('removed').inc();
    this.#reportUntold(untold);
    return isRemoved;
  }

  /** What readers of a list see now, newest first; or, with `scheduled`, what they are going to see. Costs one script. */
  async list(to: NotificationRecipient, options?: ListOptions | null): Promise<Notification[]> {
    const { limit = Number.POSITIVE_INFINITY, scheduled = false, ...unknown } = optionsOf('list', options);
    refuseUnknownOptions('list', unknown);
    if (typeof limit !== 'number' || !(limit >= 1)) throw argumentError('list', '"limit" to be a number from 1', limit);
    if (typeof scheduled !== 'boolean') throw argumentError('list', '"scheduled" to be true or false', scheduled);
    const recipient = checkRecipient('list', to);
    const reply = await this.#lists.read(recipient, ({ key }) => listScript.run(this.#target.client, [key]));
    const [nowUs, ...fields] = reply;
    const items = (scheduled ? scheduledItems : visibleItems)(parseList(fields), Number(nowUs));
    return items.slice(0, limit).map((item) => toNotification(item, recipient.group));
  }

  /**
   * Waits for the calls under way, at most `timeout` ms (5000) and not at all where Redis is away; then closes the connection.
   * Can be called twice. Calls that begin later fail.
   */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#lists.close(timeout).then(() => endConnection(this.#target.client));
    return this.#closing;
  }

  /** Runs a script that writes, and counts it where it fails, by what is known of the write. */
  async #write<Reply extends OutcomeReply>(
    script: Script<Reply>,
    to: Recipient,
    argsOf: (list: RecipientList) => readonly ScriptArgument[],
    id: string,
  ): Promise<{ reply: Reply; mayHaveRun: boolean }> {
    try {
      return await this.#lists.write(script, to, argsOf, id);
    } catch (error) {
      const { code } = error as IntelligentSessionError;
      this.#total.of(EVENT_BY_CODE[code] ?? 'refused').inc();
      throw error;
    }
  }

  #reportUntold(untold: string): void {
    if (untold === '') return;
    this.#total.of('untold').inc();
    this.#fault(redisFault(`a change of a list is stored, and pages that are open can't be told: ${untold}`));
  }

  #fault(error: Error): void {
    if (!this.emit('fault', error)) this.#warnings.unheard(error, this.#target.client.status === 'ready');
  }
}

/** Opens a connection for publishing notifications. Wrong options are an OptionError at once. */
export const createNotifications = (options?: NotificationsOptions): Notifications => new Notifications(options);

/** The metric's label `event` for a failed write that may be made, or that is and may not last. Any other is `refused`. */
const EVENT_BY_CODE: Partial<Record<string, string>> = {
  ERR_INTELLIGENT_SESSION_UNCONFIRMED: 'unconfirmed',
  ERR_INTELLIGENT_SESSION_NOT_DURABLE: 'not_durable',
};

/** The content after these changes; a change to null removes a field. */
function edited(
  content: NotificationContent,
  changes: Omit<NotificationChanges, 'expires'>,
): { readonly [Field in keyof NotificationContent]?: NotificationContent[Field] | undefined } {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return { ...content, ...Object.fromEntries(given.map(([field, value]) => [field, value ?? undefined])) };
}

/** As the scripts take times: µs since 1970, 0 for none. */
const usOf = (date: Date | undefined): number => (date === undefined ? 0 : date.getTime() * 1000);

function refuseUnknownOptions(method: string, unknown: object): void {
  const [name] = Object.keys(unknown);
  if (name !== undefined)
    throw new OptionError(`${method}(): there is no option "${name.slice(0, 40)}"`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}
