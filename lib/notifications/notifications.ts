import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { IntelligentSessionError, newerVersion, OptionError, redisFault } from '../errors/errors.js';
import { WarnOnce } from '../errors/warnings.js';
import { namesUsersAlike } from '../intelligence/shape.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { argumentError, optionsOf } from '../options/check-arguments.js';
import { Availability } from '../redis/availability.js';
import { namespaceOf } from '../redis/connect.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import { corkWrites } from '../redis/cork-writes.js';
import { endConnection } from '../redis/end-connection.js';
import { loadScript } from '../redis/load-script.js';
import { logAvailability } from '../redis/log-availability.js';
import { openTarget } from '../redis/open-target.js';
import { Script, type ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { CLOSE_TIMEOUT_MS } from '../redis/unfinished-work.js';
import { checkNewNotification, formatContent, type NewNotification, type Notification } from './notification.js';
import { NotificationCalls } from './notification-calls.js';
import {
  type NotificationsOptions,
  type ResolvedNotificationsOptions,
  resolveNotificationsOptions,
} from './options.js';
import { type NotificationRecipient, type RecipientList, recipientList, RecipientLists } from './recipient-list.js';
import { parseList, scheduledItems, toNotification, visibleItems } from './stored-list.js';

const publishScript = new Script<[outcome: number, position: string, untold: string]>(
  loadScript('lib/notifications/publish.lua'),
);
const listScript = new Script<string[]>(loadScript('lib/notifications/list.lua'));

const DAY_US = 86_400_000_000;
/** How long it is taken for granted that users are named as the site names them. */
const CHECKED_MS = 5_000;

export interface ListOptions {
  /** How many at most. @default all of them */
  readonly limit?: number | undefined;
  /** Those that are to be seen later, the next one first. @default false */
  readonly scheduled?: boolean | undefined;
}

interface NotificationsEvents {
  /** Redis can't be reached: calls wait for it, for `maxWaitMs` at most. */
  away: [reason: Error];
  /** It can be reached, at first or again. */
  back: [];
  /** A connection that does not come about, or a publication that nobody could be told of. */
  fault: [error: Error];
}

/**
 * Publishes notifications, from any process: one write whatever the group's size. Every method returns a promise, and what is wrong with
 * an argument rejects it with an OptionError before anything is sent.
 */
export class Notifications extends EventEmitter<NotificationsEvents> {
  readonly #options: ResolvedNotificationsOptions;
  readonly #target: RedisTarget;
  readonly #namespace: string;
  readonly #lists: RecipientLists;
  readonly #calls: NotificationCalls;
  readonly #warnings = new WarnOnce();
  readonly #metrics = new Metrics();
  readonly #total = this.#metrics.counter(
    'intelligent_session_notifications_total',
    'What became of notifications: published, scheduled, repeated, edited, removed, unconfirmed, not_durable, refused, untold',
    ['event'],
  );
  /** Until when users are known to be named as the site names them, by performance.now(). */
  #usersCheckedUntilMs = 0;
  #closing: Promise<void> | undefined;

  constructor(given: NotificationsOptions = {}) {
    super();
    this.#options = resolveNotificationsOptions(given);
    const { redis, maxWaitMs, namespace } = this.#options;
    this.#namespace = namespaceOf(redis, namespace);
    this.#target = openTarget(redis, maxWaitMs);
    corkWrites(this.#target);
    this.#lists = new RecipientLists(this.#namespace, this.#target.database);
    onConnectionFault(this.#target.client, (error) => this.#fault(error));
    const availability = new Availability(this.#target.client, maxWaitMs);
    availability.on('back', () => this.emit('back'));
    logAvailability(
      availability,
      'nothing can be published',
      (reason) => this.#closing !== undefined || this.emit('away', redisFault(reason)),
    );
    this.#calls = new NotificationCalls(availability, maxWaitMs);
  }

  /** A registry of prom-client's, an optional peer: where it is not installed, an error with the code `METRICS`. */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  /**
   * Publishes to everyone in a group, or to one user, and gives the notification's id when Redis has it. The same id again is the same
   * notification: nothing changes. One script.
   */
  async publish(to: NotificationRecipient, notification: NewNotification): Promise<string> {
    checkNewNotification('publish', notification);
    const list = this.#listOf('publish', to);
    const { maxPerGroup, maxBytes, keepForDays } = this.#options;
    const { id = randomBytes(12).toString('base64url'), publishAt, expires } = notification;
    const json = formatContent('publish', id, notification, maxBytes);
    const times = [usOf(publishAt), usOf(expires), keepForDays * DAY_US];
    const args = [id, json, ...times, maxPerGroup, list.channel, JSON.stringify(id)];
    const [outcome, , untold] = await this.#write(publishScript, list, args, id);
    if (outcome === -1)
      throw new IntelligentSessionError(
        'ERR_INTELLIGENT_SESSION_TOO_MANY',
        `publish(): ${maxPerGroup} notifications of this list are planned for later, and it may have no more (option "maxPerGroup")`,
      );
    if (outcome === -2) throw newerVersion('A list of notifications');
    this.#total.of(outcome === 0 ? 'repeated' : isLater(publishAt) ? 'scheduled' : 'published').inc();
    this.#tellUntold(untold);
    return id;
  }

  /** What a list has for its readers now, newest first; or, with `scheduled`, what it is going to have. One script. */
  async list(to: NotificationRecipient, options?: ListOptions | null): Promise<Notification[]> {
    const { limit = Number.POSITIVE_INFINITY, scheduled = false, ...others } = optionsOf('list', options);
    checkNoOthers('list', others);
    if (typeof limit !== 'number' || !(limit >= 1)) throw argumentError('list', '"limit" to be a number from 1', limit);
    if (typeof scheduled !== 'boolean') throw argumentError('list', '"scheduled" to be true or false', scheduled);
    const list = this.#listOf('list', to);
    const reply = await this.#calls.run(async () => {
      await this.#checkUsers(list);
      return listScript.run(this.#target.client, [list.key]);
    });
    const [nowUs, ...fields] = reply;
    const items = (scheduled ? scheduledItems : visibleItems)(parseList(fields), Number(nowUs));
    return items.slice(0, limit).map((item) => toNotification(item, list.group));
  }

  /**
   * Waits for what is under way, at most `timeout` ms (5000) and not at all where Redis is away; then closes the connection.
   * Can be called twice. What begins later fails.
   */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#calls.close(timeout).then(() => endConnection(this.#target.client));
    return this.#closing;
  }

  #listOf(method: string, to: NotificationRecipient): RecipientList {
    return recipientList(method, this.#lists, to, this.#options.itemSecret);
  }

  /** Runs a script that writes; what it writes may be written twice. */
  async #write<T>(script: Script<T>, list: RecipientList, args: readonly ScriptArgument[], id: string): Promise<T> {
    return this.#calls.run(async () => {
      await this.#checkUsers(list);
      return script.run(this.#target.client, [list.key, ...args]);
    }, id);
  }

  /** Who names users otherwise than the site does would publish where nobody reads. */
  async #checkUsers({ group }: RecipientList): Promise<void> {
    if (group !== undefined || performance.now() < this.#usersCheckedUntilMs) return;
    const { itemSecret } = this.#options;
    if ((await namesUsersAlike(this.#target.client, this.#namespace, itemSecret)) === false)
      throw new OptionError(
        `createNotifications(): option "itemSecret" is ${itemSecret === undefined ? 'missing, and the site has one' : 'another than the site has'}, so what is published to a user would be read by nobody`,
      );
    this.#usersCheckedUntilMs = performance.now() + CHECKED_MS;
  }

  #tellUntold(reason: string): void {
    if (reason === '') return;
    this.#total.of('untold').inc();
    this.#fault(redisFault(`a change of a list is stored, and pages that are open can't be told: ${reason}`));
  }

  #fault(error: Error): void {
    if (!this.emit('fault', error)) this.#warnings.unheard(error, this.#target.client.status === 'ready');
  }
}

/** Opens a connection for publishing notifications. Wrong options are an OptionError at once. */
export const createNotifications = (options?: NotificationsOptions): Notifications => new Notifications(options);

const usOf = (date: Date | undefined): number => (date === undefined ? 0 : date.getTime() * 1000);
const isLater = (date: Date | undefined): boolean => date !== undefined && date.getTime() > Date.now();

function checkNoOthers(method: string, others: object): void {
  const [name] = Object.keys(others);
  if (name !== undefined)
    throw new OptionError(`${method}(): there is no option "${name.slice(0, 40)}"`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}
