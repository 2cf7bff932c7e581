import { expect } from 'chai';
import { Circuits } from '../../lib/serving/circuit-breaker.js';

describe('the circuits', () => {
  let changes: string[];
  let circuits: Circuits;
  beforeEach(() => {
    changes = [];
    circuits = new Circuits((state) => changes.push(state));
  });
  let sessions = 0;
  const builtIn = (route: string, sid = `session-${sessions++}`) => ({ route, sid, ownCommand: undefined });
  const timeouts = (route: string, n: number) => {
    for (let i = 0; i < n; i++) circuits.timedOut(builtIn(route));
  };

  it('stay closed while answers come between the time-outs', () => {
    for (let i = 0; i < 10; i++) {
      timeouts('a', 4);
      circuits.answered(builtIn('a'));
    }
    expect(circuits.ask(builtIn('a'), 0)).to.equal('wait');
    expect(changes).to.deep.equal([]);
  });

  it('open after five time-outs without an answer, for every route', () => {
    for (const route of 'abcde') timeouts(route, 1);
    expect(circuits.ask(builtIn('f'), 0)).to.equal('probe');
    expect(circuits.ask(builtIn('a'), 50)).to.equal('pass');
    expect(circuits.ask(builtIn('a'), 100)).to.equal('probe');
    expect(changes).to.deep.equal(['open']);
    circuits.answered(builtIn('f'));
    expect(circuits.ask(builtIn('a'), 101)).to.equal('wait');
    expect(changes).to.deep.equal(['open', 'closed']);
  });

  it('open for one route where others get answers', () => {
    for (let i = 0; i < 5; i++) {
      timeouts('frozen', 1);
      circuits.answered(builtIn('well'));
    }
    expect(circuits.ask(builtIn('well'), 0)).to.equal('wait');
    expect(circuits.ask(builtIn('frozen'), 0)).to.equal('probe');
    expect(circuits.ask(builtIn('frozen'), 1)).to.equal('pass');
    expect(circuits.open).to.equal(1);
    circuits.answered(builtIn('frozen'));
    expect(circuits.ask(builtIn('frozen'), 2)).to.equal('wait');
    expect(circuits.open).to.equal(0);
  });

  it('open for one session whose requests time out again and again, and for nobody else', () => {
    for (let i = 0; i < 50; i++) circuits.timedOut(builtIn('a', 'one'));
    expect(circuits.ask(builtIn('a', 'one'), 0)).to.equal('probe');
    expect(circuits.ask(builtIn('a', 'one'), 1)).to.equal('pass');
    expect(circuits.ask(builtIn('a', 'other'), 2)).to.equal('wait');
    circuits.answered(builtIn('a', 'one'));
    expect(circuits.ask(builtIn('a', 'one'), 3)).to.equal('wait');
  });

  it('say whether it is one session’s alone that opened, as the warning does', () => {
    const told: unknown[] = [];
    const some = new Circuits((state, command, oneSession) => told.push([state, command, oneSession]));
    for (let i = 0; i < 5; i++) some.timedOut(builtIn('a', 'one'));
    for (let i = 0; i < 4; i++) some.timedOut(builtIn('a'));
    for (let i = 0; i < 5; i++) some.timedOut({ ...builtIn('a'), ownCommand: 'own' });
    expect(told).to.deep.equal([
      ['open', undefined, true],
      ['open', undefined, false],
      ['open', 'own', false],
    ]);
  });

  it('open for one own command that times out, and for no other', () => {
    const slow = { route: 'a', sid: 's', ownCommand: 'slow' };
    for (let i = 0; i < 5; i++) circuits.timedOut(slow);
    expect(circuits.ask(slow, 0)).to.equal('probe');
    expect(circuits.ask({ route: 'b', sid: 't', ownCommand: 'slow' }, 1)).to.equal('pass');
    expect(circuits.ask(builtIn('a'), 2)).to.equal('wait');
    expect(circuits.ask({ route: 'a', sid: 's', ownCommand: 'quick' }, 3)).to.equal('wait');
    circuits.answered(builtIn('a'));
    expect(circuits.ask(slow, 4), 'a page view says nothing of it').to.equal('pass');
    circuits.answered(slow);
    expect(circuits.ask(slow, 5)).to.equal('wait');
    expect(circuits.open).to.equal(0);
  });
});
