import type { Notifications } from '../../lib/notifications/index.js';
import { until } from './until.js';

/**
 * How many go to one group, at most: fewer than the caller's `maxPerGroup`, so that none is pushed out by those that follow.
 */
const PER_GROUP = 500;
const GROUPS = 40;

/** Publications without a pause, some at once, and which of them were acknowledged: all of those have to be found in a list. */
export class PublicationStream {
  readonly acknowledged: string[] = [];
  readonly errors: Error[] = [];
  readonly groups = Array.from({ length: GROUPS }, (_, i) => `group-${i}`);
  #next = 0;
  #isStopped = false;
  readonly #publishers: Promise<void>[];

  constructor(
    readonly notifications: Notifications,
    atOnce: number,
  ) {
    this.#publishers = Array.from({ length: atOnce }, () => this.#publish());
  }

  /** Waits until so many more publications are acknowledged. */
  async publishes(more: number, withinMs = 30_000): Promise<void> {
    const wanted = this.acknowledged.length + more;
    await until(`${wanted} publications`, () => this.acknowledged.length >= wanted, withinMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#publishers);
  }

  /** The ids that were acknowledged and that no list has. */
  async lost(): Promise<string[]> {
    const lists = await Promise.all(this.groups.map((group) => this.notifications.list({ group })));
    const found = new Set(lists.flatMap((list) => list.map(({ id }) => id)));
    return this.acknowledged.filter((id) => !found.has(id));
  }

  async #publish(): Promise<void> {
    while (!this.#isStopped && this.#next < PER_GROUP * GROUPS) {
      const n = this.#next++;
      const [id, group] = [`n${n}`, this.groups[n % GROUPS] as string];
      await this.notifications.publish({ group }, { id, title: `Number ${n}` }).then(
        () => this.acknowledged.push(id),
        (error) => this.errors.push(error as Error),
      );
    }
  }
}
