import { expect } from 'chai';
import fc from 'fast-check';
import sinon from 'sinon';
import { EMPTY_SCHEDULE, scheduleOf } from '../../lib/notifications/list-schedule.js';
import { type StoredList, type StoredNotification, visibleItems } from '../../lib/notifications/stored-list.js';
import type { Change } from '../../lib/transport/protocol.js';
import { LiveCounts, LiveStream, type UnreadCount } from '../../middleware/live-counts.js';
import { fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

/** Longer than it takes until a publication was told and its list was read: nobody can know what came and went in between. */
const MIN_LIFE_MS = 150;
const FOREVER_US = 10 ** 12;
/** Until then all that is planned was visible and has expired, and all is told and read. */
const QUIET_MS = 1_000;

const action = fc.record({
  what: fc.constantFrom('publish', 'schedule', 'remove', 'read', 'open', 'close', 'set the clock'),
  afterMs: fc.nat(50),
  number: fc.nat(8),
  lifeMs: fc.option(fc.integer({ min: MIN_LIFE_MS, max: 2 * MIN_LIFE_MS })),
});
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;
const delaysMs = fc.array(fc.nat(15), { minLength: 1, maxLength: 6 });
const history = fc.record({ actions: fc.array(action, { maxLength: 25 }), delaysMs });

/** A connection: what was sent first arrives first, each a little later. */
class Connection {
  readonly #sent: { atMs: number; arrive: () => void }[] = [];
  #count = 0;

  constructor(readonly delays: readonly number[]) {}

  send(arrive: () => void): void {
    const delay = this.delays[this.#count++ % this.delays.length] as number;
    this.#sent.push({ atMs: Math.max(performance.now() + delay, this.#sent.at(-1)?.atMs ?? 0), arrive });
  }

  arrive(): void {
    while (this.#sent[0] && this.#sent[0].atMs <= performance.now()) this.#sent.shift()?.arrive();
  }
}

/** Streams of a group, and the group's list as Redis has it. A read takes a way there and one back, and a message one way. */
class Ground {
  readonly streams: LiveStream[] = [];
  readonly #connections;
  readonly #counts: LiveCounts;
  #list: StoredList = { last: 0, items: [] };
  #aheadMs = 1_000;
  #listener: (change: Change) => void = () => {};

  constructor(delays: readonly number[]) {
    const [messages, questions, answers] = [0, 1, 2].map((i) => new Connection([...delays.slice(i), ...delays])) as [
      Connection,
      Connection,
      Connection,
    ];
    this.#connections = { messages, questions, answers };
    const changes = {
      follow: (to: object, listener: (change: Change) => void) => {
        if ('group' in to) this.#listener = listener;
        return () => {};
      },
      isHeard: () => true,
    };
    this.#counts = new LiveCounts(changes, {
      readCount: () =>
        new Promise((resolve) => {
          questions.send(() => {
            const counted = this.#read();
            answers.send(() => resolve(counted));
          });
        }),
      countChanged: () => {},
      sessionEnded: () => {},
    });
    for (let i = 0; i < 3; i++) this.#open();
  }

  get nowUs(): number {
    return (performance.now() + this.#aheadMs) * 1_000;
  }

  get visible(): number {
    return visibleItems(this.#list, this.nowUs).length;
  }

  act({ what, number, lifeMs }: Action): void {
    if (what === 'publish') return this.#publish(lifeMs);
    if (what === 'schedule') return this.#schedule(number, lifeMs);
    if (what === 'remove') return this.#remove(number);
    if (what === 'read') return this.#counts.readAgain(this.streams.slice(number % 3, 3));
    if (what === 'open') return this.#open();
    if (what === 'close' && this.streams.length > 3) return this.#counts.close(this.streams.shift() as LiveStream);
    this.#aheadMs += number - 4;
  }

  async pass(ms: number, clock: sinon.SinonFakeTimers): Promise<void> {
    for (let i = 0; i < ms; i++) {
      for (const connection of Object.values(this.#connections)) connection.arrive();
      await new Promise<void>((resolve) => setImmediate(resolve));
      clock.tick(1);
    }
  }

  #open(): void {
    const visitor = { subject: `${this.streams.length}`, isAnonymous: false, ttlSeconds: 60, returning: true };
    const stream = new LiveStream({} as never, 'a session', visitor, ['all']);
    this.streams.push(stream);
    this.#counts.open(stream);
  }

  #publish(lifeMs: number | null): void {
    const { last, items } = this.#list;
    const newest = Math.max(last, ...visibleItems(this.#list, this.nowUs).map(({ position }) => position));
    const position = this.#free(Math.max(newest + 1, this.nowUs));
    this.#put({ last: position, items }, position, lifeMs);
    this.#tell({ type: 'published', id: `${position}`, position });
  }

  /** Several get the same time: that of the next hundredth of a second, or of one of those after it. */
  #schedule(hundredths: number, lifeMs: number | null): void {
    const planned = (Math.ceil(this.nowUs / 10_000) + hundredths) * 10_000;
    if (planned <= Math.max(this.nowUs, this.#list.last)) return;
    const position = this.#free(planned);
    this.#put(this.#list, position, lifeMs);
    this.#tell({ type: 'scheduled', id: `${position}`, position });
  }

  #remove(i: number): void {
    const { items, last } = this.#list;
    if (i >= items.length) return;
    this.#list = { last, items: items.toSpliced(i, 1) };
    this.#tell({ type: 'changed' });
  }

  #free(position: number): number {
    while (this.#list.items.some((item) => item.position === position)) position++;
    return position;
  }

  #put({ last, items }: StoredList, position: number, lifeMs: number | null): void {
    const expires = position + (lifeMs === null ? FOREVER_US : lifeMs * 1_000);
    const item: StoredNotification = { id: `${position}`, position, expires, json: '{"title":"News"}' };
    const left = items.filter((one) => one.expires > this.nowUs);
    this.#list = { last, items: [item, ...left].sort((one, other) => other.position - one.position) };
  }

  #tell(change: Change): void {
    this.#connections.messages.send(() => this.#listener(change));
  }

  #read(): UnreadCount {
    const visible = visibleItems(this.#list, this.nowUs);
    const oldestPosition = visible.at(-1)?.position ?? 0;
    const state = { lastPosition: this.#list.last, oldestPosition, schedule: scheduleOf(this.#list) };
    const own = { lastPosition: 0, oldestPosition: 0, schedule: EMPTY_SCHEDULE };
    return { count: visible.length, nowUs: this.nowUs, lists: [state, own] };
  }
}

describe('the counts of open streams, whatever happens when', function () {
  this.timeout(FUZZ_TIMEOUT_MS);

  it('are what Redis has when all was told', () =>
    fuzz(
      history,
      async ({ actions, delaysMs: delays }) => {
        const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
        try {
          const ground = new Ground(delays);
          for (const one of actions) {
            await ground.pass(one.afterMs, clock);
            ground.act(one);
          }
          await ground.pass(QUIET_MS, clock);
          const counts = ground.streams.map(({ count }) => count);
          expect(counts).to.deep.equal(counts.map(() => ground.visible));
        } finally {
          clock.restore();
        }
      },
      { runs: RUNS / 50 },
    ));
});
