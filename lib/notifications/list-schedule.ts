import type { StoredList } from './stored-list.js';

/** What a list does by itself, without a write: times in their order, µs since 1970 by Redis' clock. Some may be past. */
export interface ListSchedule {
  /** When notifications become visible that were not visible yet when something was last published. */
  readonly visibleAtUs: readonly number[];
  /** When notifications expire. */
  readonly expiresAtUs: readonly number[];
}

export const EMPTY_SCHEDULE: ListSchedule = { visibleAtUs: [], expiresAtUs: [] };

/** A group's list is cached, and 10,000 streams may want its schedule. */
const schedules = new WeakMap<StoredList, ListSchedule>();

export function scheduleOf(list: StoredList): ListSchedule {
  let schedule = schedules.get(list);
  if (!schedule) {
    schedule = makeSchedule(list);
    schedules.set(list, schedule);
  }
  return schedule;
}

function makeSchedule({ last, items }: StoredList): ListSchedule {
  const scheduled = items.filter(({ position, expires }) => position > last && position < expires);
  return {
    visibleAtUs: inOrder(scheduled.map(({ position }) => position)),
    expiresAtUs: inOrder(items.map(({ expires }) => expires)),
  };
}

/** The schedule of a list that got one more notification, which becomes visible at `atUs`. */
export function withScheduled(schedule: ListSchedule, atUs: number): ListSchedule {
  const { visibleAtUs } = schedule;
  return visibleAtUs.includes(atUs) ? schedule : { ...schedule, visibleAtUs: inOrder([...visibleAtUs, atUs]) };
}

/** The part of a schedule whose times `isMeant` picks. */
export const partOf = (
  { visibleAtUs, expiresAtUs }: ListSchedule,
  isMeant: (atUs: number) => boolean,
): ListSchedule => ({
  visibleAtUs: visibleAtUs.filter(isMeant),
  expiresAtUs: expiresAtUs.filter(isMeant),
});

/** The first time after `nowUs`; Infinity where there is none. */
export function nextTimeUs({ visibleAtUs, expiresAtUs }: ListSchedule, nowUs: number): number {
  const isLater = (atUs: number) => atUs > nowUs;
  const never = Number.POSITIVE_INFINITY;
  return Math.min(visibleAtUs.find(isLater) ?? never, expiresAtUs.find(isLater) ?? never);
}

const inOrder = (times: readonly number[]): readonly number[] => times.toSorted((one, other) => one - other);
