import { commandKeys } from '../intelligence/keys.js';
import { isUserSubject } from '../intelligence/command/subject.js';
import { checkSessionId, checkTtl } from '../options/check-arguments.js';
import { ownKeysOf } from '../redis/keys.js';
import type { Availability } from '../redis/availability.js';
import type { RedisClient } from '../redis/connect.js';
import { wasLost } from '../redis/lost-connection.js';
import type { Dispatcher } from './dispatcher.js';
import type { Outcomes } from './outcomes.js';
import { Renewals } from './renewals.js';

/** Renews and removes what is kept of sessions in Redis, which an Express process does itself, without a worker. */
export class KeptIntelligence {
  readonly client: RedisClient;
  readonly #renewals: Renewals;

  constructor(
    readonly availability: Availability,
    readonly namespace: string,
    readonly dispatcher: Dispatcher,
    readonly outcomes: Outcomes,
    /** How long a message may be on its way: for so long a session that was erased keeps its mark `gone`. */
    readonly messageAgeMs: number,
  ) {
    this.client = availability.client;
    this.#renewals = new Renewals(this.client, namespace);
  }

  forget(sid: string): Promise<boolean> {
    checkSessionId('forget', sid);
    this.#renewals.forget(sid);
    const erase = () => this.availability.ready().then(() => this.#erase(sid));
    const forgotten = erase()
      .catch((error) => (wasLost(error) ? erase() : Promise.reject(error)))
      .then(
        () => true,
        (error: unknown) => {
          // The event `away` has told already that there is no connection.
          const isAway = (error as { code?: unknown }).code === 'ERR_INTELLIGENT_SESSION_NOT_READY';
          this.outcomes.unanswered('forget', 'redis', isAway ? undefined : error);
          return false;
        },
      );
    this.dispatcher.track(forgotten);
    return forgotten;
  }

  /** Can be repeated where an answer was lost. */
  async #erase(sid: string): Promise<void> {
    const isUser = isUserSubject(sid);
    const { gone, own, ...keys } = commandKeys(this.namespace, sid);
    // A user goes on: the value is the full expiry, so that what is left of that tells when the data were erased.
    const marked = this.client.set(gone, isUser ? String(this.messageAgeMs) : '', 'PX', this.messageAgeMs);
    const erased = this.#unlink(own, Object.values(keys));
    // TIME after the mark: by it, what this process sends from here on is known to be later.
    const timeMs = isUser ? this.dispatcher.clock.ask() : undefined;
    const [, , shownMs] = await Promise.all([marked, erased, timeMs]);
    if (shownMs !== undefined) this.dispatcher.erased(sid, shownMs);
  }

  /** Removes these keys, and those of the application's commands, whose names stand in the hash `own`. */
  async #unlink(own: string, keys: readonly string[]): Promise<void> {
    const [names] = await Promise.all([this.client.hkeys(own), this.client.unlink(...keys)]);
    if (names.length > 0) await this.client.unlink(...ownKeysOf(own, names));
  }

  renew(sid: string, ttlSeconds: number): void {
    checkSessionId('renew', sid);
    checkTtl('renew', ttlSeconds);
    if (this.client.status !== 'ready') return;
    this.#renewals.renew(sid, ttlSeconds)?.catch((error) => this.outcomes.unanswered('renew', 'redis', error));
  }

  /** To be called where a worker may have set another expiry: the next renew() asks Redis, whatever this process remembers. */
  renewNext(sid: string): void {
    this.#renewals.forget(sid);
  }
}
