import { setTimeout as pause } from 'node:timers/promises';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import type { Notifications } from '../../lib/notifications/index.js';
import type { Reader } from '../../lib/notifications/read-marks.js';
import type { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { until } from './until.js';

const GROUP = 'everybody';
const PER_VISITOR = 20;
const DAY_SECONDS = 86_400;

/**
 * Visitors, some at a time, who mark notifications one by one. A mark that was answered (true or false) has to be found in
 * Redis.
 */
export class MarkStream {
  readonly acknowledged: { readonly visitor: number; readonly id: string }[] = [];
  unanswered = 0;
  #visitors = 0;
  #isStopped = false;
  #marking: Promise<void>[] = [];

  constructor(readonly reading: VisitorNotifications) {}

  /** Publishes what is marked, before anybody marks. */
  static async publish(notifications: Notifications): Promise<void> {
    for (let i = 0; i < PER_VISITOR; i++)
      await notifications.publish({ group: GROUP }, { id: `n${i}`, title: `Number ${i}` });
  }

  start(atOnce: number): void {
    this.#marking = Array.from({ length: atOnce }, () => this.#mark());
  }

  /** Waits until so many more marks are acknowledged. */
  async marks(more: number, withinMs = 30_000): Promise<void> {
    const wanted = this.acknowledged.length + more;
    await until(`${wanted} marks`, () => this.acknowledged.length >= wanted, withinMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#marking);
  }

  /** The marks that were acknowledged and that Redis does not have. */
  async lost(): Promise<string[]> {
    const lost: string[] = [];
    for (const visitor of new Set(this.acknowledged.map((one) => one.visitor))) {
      const read = await this.reading.read('notifications', [GROUP], readerOf(visitor));
      if (!read) throw new Error('Redis does not answer');
      const unread = new Set(read.lists.flatMap((list) => list.unread().map(({ id }) => id)));
      for (const one of this.acknowledged)
        if (one.visitor === visitor && unread.has(one.id)) lost.push(`${visitor} ${one.id}`);
    }
    return lost;
  }

  async #mark(): Promise<void> {
    while (!this.#isStopped) {
      const visitor = this.#visitors++;
      for (let i = 0; i < PER_VISITOR && !this.#isStopped; i++) {
        const id = `n${i}`;
        const wasUnread = await this.reading.mark(id, [GROUP], readerOf(visitor));
        if (wasUnread === true || wasUnread === false) this.acknowledged.push({ visitor, id });
        else {
          this.unanswered++;
          await pause(5);
        }
      }
    }
  }
}

const readerOf = (visitor: number): Reader => ({
  subject: userSubject(`visitor ${visitor}`, undefined),
  ttlSeconds: DAY_SECONDS,
});
