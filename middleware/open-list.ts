import {
  EMPTY_SCHEDULE,
  type ListSchedule,
  nextTimeUs,
  partOf,
  withScheduled,
} from '../lib/notifications/list-schedule.js';
import type { Recipient } from '../lib/transport/protocol.js';
import { ListTimer } from './list-timer.js';

/**
 * A list that at least one open stream counts: a group's, or a visitor's own. It knows what the list does by itself, and when. All
 * times are µs since 1970 by Redis' clock.
 */
export class OpenList<Stream> {
  /** In the order in which they are asked for the list's state: one that got no answer is the last. */
  readonly streams = new Set<Stream>();
  unfollow: () => void = () => {};
  /** The highest position that the oldest visible notification has had; 0 where none was visible yet. */
  oldestPosition = 0;
  #schedule = EMPTY_SCHEDULE;
  /** When the schedule was read; Infinity before the first time. */
  #readAtUs = Number.POSITIVE_INFINITY;
  /** The first time in the schedule that has not come; Infinity where there is none. */
  #nextUs = Number.POSITIVE_INFINITY;
  /** By how many µs Redis' clock is ahead of performance.now(). */
  #aheadUs = 0;
  #timer: ListTimer | undefined;

  constructor(
    readonly to: Recipient,
    /** Is called when a time in the schedule has come. */
    readonly onDue: (list: OpenList<Stream>) => void,
  ) {}

  /** It is `nowUs`. Returns the times in the schedule that have come since the last call. */
  goTo(nowUs = this.#nowUs): ListSchedule {
    const from = this.#nextUs;
    const come = nowUs < from ? EMPTY_SCHEDULE : partOf(this.#schedule, (atUs) => from <= atUs && atUs <= nowUs);
    this.#aheadUs = nowUs - performance.now() * 1000;
    this.#wait(nowUs);
    return come;
  }

  /**
   * Returns the times of a schedule that was read at `nowUs` which have come since the last renew(): those of notifications that came to the
   * list since then may be in no schedule that goTo() has seen.
   */
  comeIn(schedule: ListSchedule, nowUs: number): ListSchedule {
    if (schedule === this.#schedule) return EMPTY_SCHEDULE;
    const from = this.#readAtUs;
    return partOf(schedule, (atUs) => from < atUs && atUs <= nowUs);
  }

  /** Replaces the schedule by one that was read at `nowUs`. */
  renew(schedule: ListSchedule, nowUs: number): void {
    this.#schedule = schedule;
    this.#readAtUs = nowUs;
    this.#wait(nowUs);
  }

  /** Adds a time at which a notification becomes visible. Returns what goTo() does: it may have come. */
  add(atUs: number): ListSchedule {
    // Nothing was read yet: the first schedule will have it.
    if (this.#readAtUs === Number.POSITIVE_INFINITY) return EMPTY_SCHEDULE;
    this.#schedule = withScheduled(this.#schedule, atUs);
    this.#nextUs = Math.min(this.#nextUs, atUs);
    return this.goTo();
  }

  putLast(stream: Stream): void {
    this.streams.delete(stream);
    this.streams.add(stream);
  }

  close(): void {
    this.unfollow();
    this.#timer?.clear();
  }

  get #nowUs(): number {
    return performance.now() * 1000 + this.#aheadUs;
  }

  /** Sets the timer to the next time in the schedule. */
  #wait(nowUs: number): void {
    this.#nextUs = nextTimeUs(this.#schedule, nowUs);
    if (this.#nextUs === Number.POSITIVE_INFINITY) return this.#timer?.clear();
    this.#timer ??= new ListTimer(() => this.onDue(this));
    this.#timer.set((this.#nextUs - nowUs) / 1000);
  }
}
