import { expect } from 'chai';
import { CircuitBreakers } from '../../lib/serving/circuit-breaker.js';

describe('the circuits', () => {
  let changes: string[];
  let circuits: CircuitBreakers;
  beforeEach(() => {
    changes = [];
    circuits = new CircuitBreakers({ opened: () => changes.push('open'), closed: () => changes.push('closed') });
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
    expect(circuits.admit(builtIn('a'), 0)).to.equal('wait');
    expect(changes).to.deep.equal([]);
  });

  it('open after five time-outs without an answer, for every route', () => {
    for (const route of 'abcde') timeouts(route, 1);
    expect(circuits.admit(builtIn('f'), 0)).to.equal('trial');
    expect(circuits.admit(builtIn('a'), 50)).to.equal('pass');
    expect(circuits.admit(builtIn('a'), 100)).to.equal('trial');
    expect(changes).to.deep.equal(['open']);
    circuits.answered(builtIn('f'));
    expect(circuits.admit(builtIn('a'), 101)).to.equal('wait');
    expect(changes).to.deep.equal(['open', 'closed']);
  });

  it('open for one route where others get answers', () => {
    for (let i = 0; i < 5; i++) {
      timeouts('frozen', 1);
      circuits.answered(builtIn('well'));
    }
    expect(circuits.admit(builtIn('well'), 0)).to.equal('wait');
    expect(circuits.admit(builtIn('frozen'), 0)).to.equal('trial');
    expect(circuits.admit(builtIn('frozen'), 1)).to.equal('pass');
    expect(circuits.open).to.equal(1);
    circuits.answered(builtIn('frozen'));
    expect(circuits.admit(builtIn('frozen'), 2)).to.equal('wait');
    expect(circuits.open).to.equal(0);
  });

  it('open for one session whose requests time out again and again, and for nobody else', () => {
    for (let i = 0; i < 50; i++) circuits.timedOut(builtIn('a', 'one'));
    expect(circuits.admit(builtIn('a', 'one'), 0)).to.equal('trial');
    expect(circuits.admit(builtIn('a', 'one'), 1)).to.equal('pass');
    expect(circuits.admit(builtIn('a', 'other'), 2)).to.equal('wait');
    circuits.answered(builtIn('a', 'one'));
    expect(circuits.admit(builtIn('a', 'one'), 3)).to.equal('wait');
  });

  it('say whether it is one session’s alone that opened, as the warning does', () => {
    const told: unknown[] = [];
    const some = new CircuitBreakers({ opened: (scope) => told.push(scope), closed: () => {} });
    for (let i = 0; i < 5; i++) some.timedOut(builtIn('a', 'one'));
    for (let i = 0; i < 4; i++) some.timedOut(builtIn('a'));
    for (let i = 0; i < 5; i++) some.timedOut({ ...builtIn('a'), ownCommand: 'own' });
    expect(told).to.deep.equal(['session', 'workers', { ownCommand: 'own' }]);
  });

  it('open for one own command that times out, and for no other', () => {
    const slow = { route: 'a', sid: 's', ownCommand: 'slow' };
    for (let i = 0; i < 5; i++) circuits.timedOut(slow);
    expect(circuits.admit(slow, 0)).to.equal('trial');
    expect(circuits.admit({ route: 'b', sid: 't', ownCommand: 'slow' }, 1)).to.equal('pass');
    expect(circuits.admit(builtIn('a'), 2)).to.equal('wait');
    expect(circuits.admit({ route: 'a', sid: 's', ownCommand: 'quick' }, 3)).to.equal('wait');
    circuits.answered(builtIn('a'));
    expect(circuits.admit(slow, 4), 'a page view says nothing of it').to.equal('pass');
    circuits.answered(slow);
    expect(circuits.admit(slow, 5)).to.equal('wait');
    expect(circuits.open).to.equal(0);
  });
});
