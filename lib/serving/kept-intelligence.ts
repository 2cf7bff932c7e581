import { commandKeys } from '../intelligence/keys.js';
import { ownKeysOf } from '../redis/keys.js';
import { checkSessionId, checkTtl } from '../options/check-arguments.js';
import type { RedisClient } from '../redis/connect.js';
import type { Dispatcher } from './dispatcher.js';
import type { Outcomes } from './outcomes.js';
import { Renewals } from './renewals.js';

/** What is kept of sessions in Redis, as an Express process handles it without a worker: it is renewed, and removed. */
export class KeptIntelligence {
  readonly #renewals: Renewals;

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly dispatcher: Dispatcher,
    readonly outcomes: Outcomes,
    /** How long a message may be on its way. */
    readonly messageAgeMs: number,
  ) {
    this.#renewals = new Renewals(client, namespace);
  }

  forget(sid: string): Promise<boolean> {
    checkSessionId('forget', sid);
    this.#renewals.forget(sid);
    const { gone, own, ...keys } = commandKeys(this.namespace, sid);
    const left = this.client.set(gone, '', 'PX', this.messageAgeMs);
    const names = this.client.hkeys(own);
    const removed = Promise.all([names, left, this.client.unlink(...Object.values(keys))]);
    const forgotten = removed
      .then(([found]) => (found.length > 0 ? this.client.unlink(...ownKeysOf(own, found)) : 0))
      .then(
        () => true,
        (error: unknown) => {
          this.outcomes.unanswered('forget', 'redis', error);
          return false;
        },
      );
    this.dispatcher.track(forgotten);
    return forgotten;
  }

  renew(sid: string, ttlSeconds: number): void {
    checkSessionId('renew', sid);
    checkTtl('renew', ttlSeconds);
    if (this.client.status !== 'ready') return;
    this.#renewals.renew(sid, ttlSeconds)?.catch((error) => this.outcomes.unanswered('renew', 'redis', error));
  }

  /** Something else has set the expiry of what is kept of a session: the next renewal looks. */
  renewNext(sid: string): void {
    this.#renewals.forget(sid);
  }
}
