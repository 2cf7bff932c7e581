import { expect } from 'chai';
import { EMPTY_SCHEDULE, nextTimeUs, scheduleOf, withScheduled } from '../../lib/notifications/list-schedule.js';
import type { StoredList } from '../../lib/notifications/stored-list.js';

const listOf = (last: number, ...times: [position: number, expires: number][]): StoredList => ({
  last,
  items: times.map(([position, expires]) => ({ id: `${position}`, position, expires, json: '{"title":"News"}' })),
});

describe('the schedule of a list', () => {
  it('has in their order when notifications become visible and expire', () => {
    const { visibleAtUs, expiresAtUs } = scheduleOf(listOf(20, [40, 70], [30, 90], [20, 50], [10, 80]));
    expect(visibleAtUs).to.deep.equal([30, 40]);
    expect(expiresAtUs).to.deep.equal([50, 70, 80, 90]);
  });

  it('has nothing become visible that has expired by then', () => {
    expect(scheduleOf(listOf(20, [40, 40])).visibleAtUs).to.deep.equal([]);
  });

  it('is made once for a list', () => {
    const list = listOf(20, [30, 90]);
    expect(scheduleOf(list)).to.equal(scheduleOf(list));
  });

  it('gets a time more, once', () => {
    const schedule = withScheduled(withScheduled(withScheduled(EMPTY_SCHEDULE, 40), 30), 40);
    expect(schedule.visibleAtUs).to.deep.equal([30, 40]);
    expect(EMPTY_SCHEDULE.visibleAtUs).to.deep.equal([]);
  });

  it('says what comes next', () => {
    const schedule = scheduleOf(listOf(20, [30, 50]));
    expect([20, 30, 50].map((nowUs) => nextTimeUs(schedule, nowUs))).to.deep.equal([30, 50, Number.POSITIVE_INFINITY]);
  });
});
