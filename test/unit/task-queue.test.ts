import { expect } from 'chai';
import fc from 'fast-check';
import { Task } from '../../lib/intelligence/task.js';
import { type Dropped, TaskQueue } from '../../lib/intelligence/task-queue.js';

type Kind = 'expired' | 'waiting' | 'no-waiter';
class TestTask extends Task {
  readonly awaited: boolean;
  readonly isExpired: boolean;

  constructor(id: number, kind: Kind, heardMs = 0, payload = '', sid = 'sid') {
    super('pageview', sid, String(id), payload, 60, heardMs);
    this.awaited = kind !== 'no-waiter';
    this.isExpired = kind === 'expired';
  }

  answer(): void {}
  refuse(): void {}
}
const job = (...values: ConstructorParameters<typeof TestTask>) => new TestTask(...values);

describe('the worker’s queue', () => {
  let dropped: [id: string, why: Dropped][];
  const make = (messages: number, bytes = 1000) =>
    new TaskQueue<TestTask>({ messages, bytes }, ({ id }, why) => dropped.push([id, why]));
  const rest = (queue: TaskQueue<TestTask>) => {
    const ids: string[] = [];
    for (let one = queue.shift(); one; one = queue.shift()) ids.push(one.id);
    return ids;
  };
  beforeEach(() => {
    dropped = [];
  });

  it('gives what came first, and what was put back before all others', () => {
    const queue = make(10);
    for (let i = 1; i <= 4; i++) queue.push(job(i, 'waiting'));
    const first = queue.shift() as TestTask;
    const second = queue.shift() as TestTask;
    queue.unshift([first, second]);
    expect(rest(queue)).to.deep.equal(['1', '2', '3', '4']);
    expect(queue.length).to.equal(0);
  });

  it('at its bound drops what nobody waits for any longer, before what nobody ever waited for', () => {
    const queue = make(10);
    for (let i = 0; i < 10; i++) queue.push(job(i, (['expired', 'no-waiter', 'waiting'] as const)[i % 3] as 'expired'));
    queue.push(job(10, 'waiting'));
    expect(dropped).to.deep.equal([['0', 'expired']]);
    for (let i = 11; i < 14; i++) queue.push(job(i, 'waiting'));
    expect(dropped.map(([, why]) => why)).to.deep.equal(['expired', 'expired', 'expired', 'expired']);
    for (let i = 14; i < 17; i++) queue.push(job(i, 'waiting'));
    expect(dropped.slice(4)).to.deep.equal([
      ['1', 'no-waiter'],
      ['4', 'no-waiter'],
      ['7', 'no-waiter'],
    ]);
    queue.push(job(17, 'waiting'));
    expect(dropped.at(-1)).to.deep.equal(['17', 'full']);
    expect(queue.length).to.equal(10);
    queue.shift();
    queue.push(job(18, 'expired', 5));
    queue.push(job(19, 'waiting', 5));
    expect(dropped.at(-1), 'a sweep in vain is not tried again at once').to.deep.equal(['19', 'full']);
    queue.push(job(20, 'waiting', 20));
    expect(dropped.at(-1)).to.deep.equal(['18', 'expired']);
  });

  it('takes sessions in turn, and no more than a quarter of its room from one while others wait', () => {
    const queue = make(16);
    const of = (sid: string, id: number) => job(id, 'waiting', 0, '', sid);
    for (let i = 0; i < 3; i++) queue.push(of('much', i));
    for (let i = 3; i < 5; i++) queue.push(of('other', i));
    for (let i = 5; i < 8; i++) queue.push(of('much', i));
    expect(dropped).to.deep.equal([
      ['6', 'full'],
      ['7', 'full'],
    ]);
    expect([...queue.sessions()]).to.deep.equal(['much', 'other']);
    const first = queue.shift('much') as TestTask;
    queue.defer('much');
    queue.unshift([first]);
    expect(rest(queue)).to.deep.equal(['3', '0', '4', '1', '2', '5']);
  });

  it('is bounded by bytes too', () => {
    const queue = make(100, 1000);
    for (let i = 0; i < 20; i++) queue.push(job(i, 'waiting', 0, 'x'.repeat(100)));
    expect(queue.length).to.equal(10);
    expect(dropped).to.have.lengthOf(10);
  });

  it('loses none and keeps the order of what it keeps, whatever comes', () => {
    const kinds = fc.constantFrom('expired', 'waiting', 'no-waiter' as const);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(kinds, fc.boolean()), { maxLength: 300 }),
        fc.integer({ min: 1, max: 30 }),
        (all, most) => {
          dropped = [];
          const queue = make(most);
          const taken: string[] = [];
          for (const [i, [kind, take]] of all.entries()) {
            queue.push(job(i, kind as 'expired', i * 20));
            expect(queue.length).to.be.at.most(most);
            const one = take ? queue.shift() : undefined;
            if (one) taken.push(one.id);
          }
          taken.push(...rest(queue));
          expect(taken.map(Number)).to.deep.equal(taken.map(Number).toSorted((a, b) => a - b));
          expect(taken.length + dropped.length).to.equal(all.length);
        },
      ),
    );
  });
});
