import { expect } from 'chai';
import sinon from 'sinon';
import { EMPTY_SCHEDULE, scheduleOf } from '../../lib/notifications/list-schedule.js';
import { type StoredList, type StoredNotification, visibleItems } from '../../lib/notifications/stored-list.js';
import type { Change, Recipient } from '../../lib/transport/protocol.js';
import { type ListState, LiveCounts, LiveStream, type UnreadCount } from '../../middleware/live-counts.js';

const NOTHING: ListState = { lastPosition: 0, oldestPosition: 0, schedule: EMPTY_SCHEDULE };
const visibleAt = (...visibleAtUs: number[]) => ({ schedule: { visibleAtUs, expiresAtUs: [] } });
const expiresAt = (...expiresAtUs: number[]) => ({ schedule: { visibleAtUs: [], expiresAtUs } });
/** Resolves when all promises have been worked off that an answer settles. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the counts of open streams', () => {
  let clock: sinon.SinonFakeTimers;
  let listeners: Map<string, (change: Change) => void>;
  let followed: string[];
  let asked: { stream: LiveStream; answer: (counted: UnreadCount | undefined) => void; fail: (error: Error) => void }[];
  let said: Map<LiveStream, number[]>;
  let ended: [string, LiveStream[]][];
  let counts: LiveCounts;
  let isHeard: boolean;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
    listeners = new Map();
    isHeard = true;
    followed = [];
    asked = [];
    said = new Map();
    ended = [];
    const nameOf = (to: Recipient) => ('group' in to ? `group ${to.group}` : `subject ${to.subject}`);
    const changes = {
      follow(to: Recipient, listener: (change: Change) => void) {
        followed.push(nameOf(to));
        listeners.set(nameOf(to), listener);
        return () => void listeners.delete(nameOf(to));
      },
      isHeard: () => isHeard,
    };
    counts = new LiveCounts(changes, {
      readCount: (stream) => new Promise((answer, fail) => asked.push({ stream, answer, fail })),
      countChanged: (stream) => void said.set(stream, [...(said.get(stream) ?? []), stream.count as number]),
      sessionEnded: (session, streams) => void ended.push([session, [...streams]]),
    });
  });
  afterEach(() => clock.restore());

  function open(subject: string, groups = ['all']): LiveStream {
    const visitor = { subject, isAnonymous: false, ttlSeconds: 60, returning: true };
    const stream = new LiveStream({} as never, `session of ${subject}`, visitor, groups);
    counts.open(stream);
    clock.tick(30);
    return stream;
  }

  async function answer(count: number, list: Partial<ListState> = {}, nowUs = 1_000_000): Promise<LiveStream> {
    const next = asked.shift();
    if (!next) throw new Error('nothing was asked');
    const lists = next.stream.groups.map(() => ({ ...NOTHING, ...list }));
    next.answer({ count, nowUs, lists: [...lists, NOTHING] });
    await settle();
    return next.stream;
  }

  const tell = (name: string, change: Change) => listeners.get(name)?.(change);
  const published = (position: number): Change => ({ type: 'published', id: 'one', position });

  it('are asked for at opening, and said', async () => {
    const stream = open('ann');
    await answer(3);
    expect(said.get(stream)).to.deep.equal([3]);
  });

  it('follow each list once, for as long as a stream is open for it', async () => {
    const [ann, ben] = [open('ann', ['all', 'staff']), open('ben')];
    expect(followed).to.deep.equal(['group all', 'group staff', 'subject ann', 'subject ben']);
    counts.close(ann);
    expect([...listeners.keys()]).to.deep.equal(['group all', 'subject ben']);
    counts.close(ben);
    expect(listeners.size).to.equal(0);
  });

  it('grow by one with a publication, without asking for all of them', async () => {
    const streams = ['ann', 'ben', 'cat'].map((name) => open(name));
    for (const _ of streams) await answer(2, { lastPosition: 100 });
    tell('group all', published(101));
    for (const stream of streams) expect(said.get(stream)).to.deep.equal([2, 3]);
    clock.tick(1_000);
    expect(asked).to.have.length(1); // one, for what the list does by itself
  });

  it('do not count twice what was counted when it was told', async () => {
    const stream = open('ann');
    await answer(2, { lastPosition: 100 });
    tell('group all', published(100));
    expect(said.get(stream)).to.deep.equal([2]);
  });

  it('are asked for again where something is published while they are asked for', async () => {
    const stream = open('ann');
    tell('group all', published(5));
    await answer(0);
    clock.tick(30);
    await answer(1, { lastPosition: 5 });
    expect(said.get(stream)).to.deep.equal([0, 1]);
  });

  it('are asked for once where much is read, edited and removed at a time', async () => {
    const stream = open('ann');
    await answer(5);
    for (let i = 0; i < 10; i++) tell('subject ann', { type: 'read' });
    tell('group all', { type: 'changed' });
    expect(asked).to.have.length(0);
    clock.tick(30);
    expect(asked).to.have.length(1);
    await answer(1);
    expect(said.get(stream)).to.deep.equal([5, 1]);
  });

  it('asks for 32 at once, and goes on when one has answered', async () => {
    const streams = Array.from({ length: 100 }, (_, i) => open(`visitor ${i}`));
    expect(asked).to.have.length(32);
    await answer(1);
    expect(asked).to.have.length(32);
    while (asked.length > 0) await answer(1);
    for (const stream of streams) expect(said.get(stream)).to.deep.equal([1]);
  });

  it('are asked for again at a heartbeat where there was no answer', async () => {
    const stream = open('ann');
    asked.shift()?.answer(undefined);
    await settle();
    clock.tick(60_000);
    expect(asked).to.have.length(0);
    counts.readUnconfirmed();
    clock.tick(30);
    await answer(4);
    expect(said.get(stream)).to.deep.equal([4]);
  });

  it('go on where a query fails: its place is free again, and its count is asked for at a heartbeat', async () => {
    const streams = Array.from({ length: 40 }, (_, i) => open(`visitor ${i}`));
    for (const { fail } of asked.splice(0)) fail(new Error('on purpose'));
    await settle();
    expect(asked).to.have.length(8);
    while (asked.length > 0) await answer(1);
    counts.readUnconfirmed();
    clock.tick(30);
    expect(asked).to.have.length(32);
    while (asked.length > 0) await answer(1);
    for (const stream of streams) expect(said.get(stream)).to.deep.equal([1]);
  });

  it('grow by one when a planned notification’s time has come', async () => {
    const [ann, ben] = [open('ann'), open('ben')];
    await answer(0, visibleAt(61_000_000));
    await answer(0, visibleAt(61_000_000));
    clock.tick(59_999);
    expect(said.get(ann)).to.deep.equal([0]);
    clock.tick(10);
    expect(said.get(ann)).to.deep.equal([0, 1]);
    expect(said.get(ben)).to.deep.equal([0, 1]);
  });

  it('wait for what is planned later than a timer can wait', async () => {
    const stream = open('ann');
    const fortyDaysMs = 40 * 86_400_000;
    await answer(0, visibleAt(1_000_000 + fortyDaysMs * 1_000));
    clock.tick(fortyDaysMs - 1_000);
    expect(said.get(stream)).to.deep.equal([0]);
    clock.tick(2_000);
    expect(said.get(stream)).to.deep.equal([0, 1]);
  });

  it('are asked for again when something expires', async () => {
    const stream = open('ann');
    await answer(2, expiresAt(31_000_000));
    clock.tick(30_010);
    clock.tick(30);
    await answer(1);
    expect(said.get(stream)).to.deep.equal([2, 1]);
  });

  it('are asked for again where a full list has dropped its oldest, of those who have not read all', async () => {
    const [ann, ben, cat] = [open('ann'), open('ben'), open('cat')];
    await answer(5, { lastPosition: 10, oldestPosition: 1 });
    await answer(5, { lastPosition: 10, oldestPosition: 1 });
    await answer(0, { lastPosition: 10, oldestPosition: 1 });
    counts.close(cat);
    tell('group all', published(11));
    clock.tick(30);
    await answer(5, { lastPosition: 11, oldestPosition: 2 });
    clock.tick(30);
    const again = [
      await answer(5, { lastPosition: 11, oldestPosition: 2 }),
      await answer(6, { lastPosition: 11, oldestPosition: 2 }),
    ];
    expect(again).to.have.members([ann, ben]);
    expect(asked).to.have.length(0);
  });

  it('are asked for again when changes are heard that were not heard when they were asked for', async () => {
    isHeard = false;
    const stream = open('ann');
    await answer(1);
    isHeard = true;
    counts.readUnconfirmed();
    clock.tick(30);
    await answer(2);
    expect(said.get(stream)).to.deep.equal([1, 2]);
    counts.readUnconfirmed();
    clock.tick(30);
    expect(asked).to.have.length(0);
  });

  it('say who ended, of the streams of that subject', () => {
    const stream = open('ann');
    open('ben');
    tell('subject ann', { type: 'ended', session: 'abc' });
    expect(ended).to.deep.equal([['abc', [stream]]]);
  });

  it('that come after the stream was closed are nobody’s', async () => {
    const stream = open('ann');
    counts.close(stream);
    await answer(3, visibleAt(2_000_000));
    clock.tick(10_000);
    expect(said.size).to.equal(0);
    expect(asked).to.have.length(0);
  });

  describe('of a list that changes by itself', () => {
    /** The list as Redis has it. */
    let stored: StoredList;
    /** Its clock, µs; it begins at 1 s, and is ahead of this process' by so many ms more. */
    let aheadMs: number;
    const nowUs = () => 1_000_000 + (performance.now() + aheadMs) * 1_000;
    /** Whose reads get no answer. */
    let failing: LiveStream | undefined;
    beforeEach(() => {
      stored = { last: 0, items: [] };
      aheadMs = 0;
      failing = undefined;
    });

    const item = (position: number, expires = 10 ** 12): StoredNotification => ({
      id: `${position}`,
      position,
      expires,
      json: '{"title":"News"}',
    });
    /** Adds scheduled notifications. */
    function schedule(...items: StoredNotification[]): void {
      stored = { ...stored, items: [...items, ...stored.items].sort((one, other) => other.position - one.position) };
    }
    function publish(...items: StoredNotification[]): void {
      schedule(...items);
      stored = { ...stored, last: Math.max(...items.map(({ position }) => position)) };
    }
    const scheduled = (position: number): Change => ({ type: 'scheduled', id: `${position}`, position });

    /** Answers all questions, and those that they lead to. */
    async function calm(): Promise<void> {
      do {
        for (const { stream, answer: reply } of asked.splice(0)) {
          const visible = visibleItems(stored, nowUs());
          const oldestPosition = visible.at(-1)?.position ?? 0;
          const state = { lastPosition: stored.last, oldestPosition, schedule: scheduleOf(stored) };
          const answered = { count: visible.length, nowUs: nowUs(), lists: [state, NOTHING] };
          reply(stream === failing ? undefined : answered);
          await settle();
        }
        clock.tick(30);
      } while (asked.length > 0);
    }

    async function openAll(names = ['ann', 'ben', 'cat', 'dan']): Promise<LiveStream[]> {
      const streams = names.map((name) => open(name));
      await calm();
      return streams;
    }
    const countsOf = (streams: readonly LiveStream[]) => streams.map(({ count }) => count);

    it('have all that becomes visible at the same time', async () => {
      schedule(item(2_000_000), item(2_000_001), item(2_000_002));
      const streams = await openAll();
      clock.tick(1_500);
      await calm();
      expect(countsOf(streams)).to.deep.equal([3, 3, 3, 3]);
      for (const stream of streams) expect(said.get(stream)).to.deep.equal([0, 3]);
    });

    it('have what becomes visible when something expires', async () => {
      publish(item(1_000_000), item(1_000_001, 2_000_000));
      schedule(item(2_000_000));
      const streams = await openAll();
      clock.tick(1_500);
      await calm();
      expect(countsOf(streams)).to.deep.equal([2, 2, 2, 2]);
    });

    it('have what becomes visible between the time of another and the answer to the next question', async () => {
      schedule(item(2_000_000), item(2_020_000));
      const streams = await openAll();
      clock.tick(1_500);
      await calm();
      expect(countsOf(streams)).to.deep.equal([2, 2, 2, 2]);
    });

    it('have what is scheduled for a time before the list is read again', async () => {
      const streams = await openAll();
      const soon = nowUs() + 10_000;
      schedule(item(soon));
      tell('group all', scheduled(soon));
      clock.tick(15);
      // The first is being asked for.
      expect(countsOf(streams).slice(1)).to.deep.equal([1, 1, 1]);
      await calm();
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
    });

    it('have what was visible already when it was told that it was scheduled, once', async () => {
      const streams = await openAll();
      const soon = nowUs() + 10_000;
      clock.tick(15);
      counts.readAgain(streams.slice(2));
      clock.tick(30);
      const [first] = asked.splice(0, 1);
      // The first's answer has the list from before, and the time after.
      first?.answer({ count: 0, nowUs: nowUs(), lists: [{ ...NOTHING, schedule: scheduleOf(stored) }, NOTHING] });
      await settle();
      schedule(item(soon));
      for (const next of asked.splice(0)) {
        const state = { ...NOTHING, schedule: scheduleOf(stored) };
        next.answer({ count: 1, nowUs: nowUs(), lists: [state, NOTHING] });
        await settle();
      }
      tell('group all', scheduled(soon));
      await calm();
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
    });

    it('have what is scheduled while an answer from before is on its way', async () => {
      const streams = await openAll();
      counts.readAgain(streams.slice(3));
      clock.tick(30);
      const soon = nowUs() + 10_000;
      const before = { ...NOTHING, schedule: scheduleOf(stored) };
      schedule(item(soon));
      tell('group all', scheduled(soon));
      asked.splice(0)[0]?.answer({ count: 0, nowUs: nowUs(), lists: [before, NOTHING] });
      await settle();
      clock.tick(15);
      expect(countsOf(streams).slice(1, 3)).to.deep.equal([1, 1]);
      await calm();
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
    });

    it('lose what expired before the list was read again', async () => {
      const streams = await openAll();
      const now = nowUs();
      publish(item(now, now + 10_000));
      tell('group all', published(now));
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
      await calm();
      expect(countsOf(streams)).to.deep.equal([0, 0, 0, 0]);
    });

    it('are asked for again when something expires that was removed from the list meanwhile', async () => {
      publish(item(1_000_000, 1_500_000));
      const streams = await openAll();
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
      stored = { ...stored, items: [] };
      aheadMs = 1_000;
      counts.readAgain(streams.slice(0, 1));
      await calm();
      expect(countsOf(streams)).to.deep.equal([0, 0, 0, 0]);
    });

    it('have what has become visible where Redis’ clock is set forward', async () => {
      schedule(item(2_000_000));
      const streams = await openAll();
      aheadMs = 2_000;
      counts.readAgain(streams.slice(0, 1));
      await calm();
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
    });

    it('have each once where Redis’ clock is set back', async () => {
      schedule(item(2_000_000));
      const streams = await openAll();
      aheadMs = -200;
      clock.tick(1_005 - performance.now());
      counts.readAgain(streams.slice(0, 1));
      for (let i = 0; i < 20; i++) {
        clock.tick(30);
        await calm();
      }
      expect(countsOf(streams)).to.deep.equal([1, 1, 1, 1]);
    });

    it('are right where one visitor’s reads always fail, without asking all the time', async () => {
      const streams = await openAll();
      [failing] = streams;
      const now = nowUs();
      publish(item(now, now + 60_000_000));
      tell('group all', published(now));
      await calm();
      clock.tick(20_000);
      expect(asked).to.have.length(0);
      counts.readUnconfirmed();
      await calm();
      clock.tick(50_000);
      await calm();
      expect(countsOf(streams).slice(1)).to.deep.equal([0, 0, 0]);
      expect(asked).to.have.length(0);
    });

    it('are right where the stream is closed that was asked for the list', async () => {
      const [ann, ...others] = await openAll();
      const now = nowUs();
      publish(item(now, now + 60_000_000));
      tell('group all', published(now));
      counts.close(ann as LiveStream);
      await calm();
      expect(countsOf(others)).to.deep.equal([1, 1, 1]);
      clock.tick(61_000);
      await calm();
      expect(countsOf(others)).to.deep.equal([0, 0, 0]);
    });

    it('of a thousand streams are not asked for when something is published, scheduled, and becomes visible', async () => {
      const streams = await openAll(Array.from({ length: 1_000 }, (_, i) => `visitor ${i}`));
      let questions = 0;
      const ask = async () => {
        clock.tick(30);
        questions += asked.length;
        await calm();
      };
      const now = nowUs();
      publish(item(now));
      tell('group all', published(now));
      await ask();
      schedule(item(now + 5_000_000), item(now + 5_000_001));
      for (const position of [now + 5_000_000, now + 5_000_001]) tell('group all', scheduled(position));
      await ask();
      clock.tick(6_000);
      await ask();
      expect(new Set(countsOf(streams))).to.deep.equal(new Set([3]));
      expect(questions).to.equal(2);
    });
  });
});
