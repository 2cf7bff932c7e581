import { expect } from 'chai';
import { ANY, check, describe as describeViolation, type Operation } from '../../soak/checker.js';

type Part = Partial<Operation> & Pick<Operation, 'kind'>;

/** Operations one after the other, unless they say when they were. */
const historyOf = (...parts: Part[]): Operation[] =>
  parts.map((part, i) => ({
    ...{ id: i, session: 1, startMs: i * 10, endMs: i * 10 + 5, outcome: 'acknowledged' },
    ...part,
  }));
const rulesOf = (...parts: Part[]) => check(historyOf({ kind: 'login' }, ...parts)).map(({ rule }) => rule);

const set = (value: string, more: Partial<Operation> = {}): Part => ({ kind: 'set', key: 'a', value, ...more });
const remove = (more: Partial<Operation> = {}): Part => ({ kind: 'delete', key: 'a', ...more });
const read = (saw: Operation['saw'], more: Partial<Operation> = {}): Part => ({
  kind: 'read',
  saw: saw as {},
  ...more,
});

describe('the checker of a soak', () => {
  it('finds nothing where everything is as it was asked', () => {
    const all = [read({}), set('1'), read({ a: '1' }), set('2'), read({ a: '2' }), remove(), read({})];
    expect(rulesOf(...all, { kind: 'logout' }, read('gone'))).to.deep.equal([]);
  });

  it('an acknowledged change that is not there', () => {
    expect(rulesOf(set('1'), read({}))).to.deep.equal(['lost-change']);
  });
  it('an acknowledged change over which an older one stands', () => {
    expect(rulesOf(set('1'), set('2'), read({ a: '1' }))).to.deep.equal(['lost-change']);
  });
  it('a change that the deletion before it has undone', () => {
    expect(rulesOf(remove(), set('1'), read({}))).to.deep.equal(['lost-change']);
  });
  it('an acknowledged deletion that was undone', () => {
    expect(rulesOf(set('1'), remove(), read({ a: '1' }))).to.deep.equal(['undone-deletion']);
  });
  it('a change that its page took back, and heard that it was', () => {
    const takeBack = (more: Partial<Operation> = {}): Part => ({ kind: 'take-back', key: 'a', value: '2', ...more });
    expect(rulesOf(set('1'), takeBack({ restored: '1' }), read({ a: '2' }))).to.deep.equal(['not-taken-back']);
    expect(rulesOf(set('1'), takeBack({ restored: '1' }), read({ a: '1' }))).to.deep.equal([]);
    expect(rulesOf(takeBack(), read({}))).to.deep.equal([]);
    expect(rulesOf(set('1'), takeBack({ restored: ANY, outcome: 'failed' }), read({}))).to.deep.equal([]);
  });
  it('a change that nobody made', () => {
    expect(rulesOf(set('1'), read({ a: 'other' }))).to.deep.equal(['never-made']);
    expect(rulesOf(read({ b: '1' }))).to.deep.equal(['never-made']);
  });
  it('a change that is seen before it was asked', () => {
    expect(rulesOf(read({ a: '1' }), set('1'))).to.deep.equal(['never-made']);
  });
  it('a session that works after an acknowledged logout', () => {
    expect(rulesOf({ kind: 'logout' }, read({}))).to.deep.equal(['revived-session']);
  });
  it('a session that works after it was seen to be gone, whoever answered the logout', () => {
    expect(rulesOf({ kind: 'logout', outcome: 'unknown' }, read('gone'), read({}))).to.deep.equal(['revived-session']);
  });
  it('a session that is gone without a logout', () => {
    expect(rulesOf(set('1'), read('gone'))).to.deep.equal(['lost-session']);
  });

  it('what was not acknowledged may be there, or not, or come late', () => {
    for (const outcome of ['unknown', 'failed'] as const) {
      expect(rulesOf(set('1'), set('2', { outcome }), read({ a: '1' }), read({ a: '2' }))).to.deep.equal([]);
      expect(rulesOf(set('1'), remove({ outcome }), set('2'), read({}))).to.deep.equal([]);
      expect(rulesOf({ kind: 'logout', outcome }, read({}))).to.deep.equal([]);
      expect(rulesOf({ kind: 'logout', outcome }, read('gone'))).to.deep.equal([]);
    }
  });
  it('of two at once either may be the last, and a read at the same time may see either', () => {
    const [first, second] = [set('1', { startMs: 10, endMs: 30 }), set('2', { startMs: 20, endMs: 40 })];
    for (const a of ['1', '2']) expect(rulesOf(first, second, read({ a }, { startMs: 50 }))).to.deep.equal([]);
    expect(rulesOf(first, remove({ startMs: 20, endMs: 40 }), read({}, { startMs: 50 }))).to.deep.equal([]);
    expect(rulesOf(first, read({}, { startMs: 20, endMs: 25 }))).to.deep.equal([]);
  });

  it('keys and sessions are apart, and each violation is told with its history', () => {
    const history = historyOf(
      { kind: 'login' },
      set('1'),
      read({}),
      { kind: 'login', session: 2 },
      read({}, { session: 2 }),
    );
    const [violation, ...rest] = check(history);
    expect(rest).to.deep.equal([]);
    expect(describeViolation(violation as never)).to.match(
      /^lost-change: session 1, key a\n.*set a 1: acknowledged\n.*read/,
    );
  });
});
