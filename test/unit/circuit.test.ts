import { expect } from 'chai';
import { Circuits } from '../../lib/serving/circuit.js';

describe('the circuits', () => {
  let changes: string[];
  let circuits: Circuits;
  beforeEach(() => {
    changes = [];
    circuits = new Circuits((state) => changes.push(state));
  });
  const timeouts = (route: string, n: number) => {
    for (let i = 0; i < n; i++) circuits.timedOut(route);
  };

  it('stay closed while answers come between the time-outs', () => {
    for (let i = 0; i < 10; i++) {
      timeouts('a', 4);
      circuits.answered('a');
    }
    expect(circuits.ask('a', 0)).to.equal('wait');
    expect(changes).to.deep.equal([]);
  });

  it('open after five time-outs without an answer, for every route', () => {
    for (const route of 'abcde') timeouts(route, 1);
    expect(circuits.ask('f', 0)).to.equal('probe');
    expect(circuits.ask('a', 50)).to.equal('pass');
    expect(circuits.ask('a', 100)).to.equal('probe');
    expect(changes).to.deep.equal(['open']);
    circuits.answered('f');
    expect(circuits.ask('a', 101)).to.equal('wait');
    expect(changes).to.deep.equal(['open', 'closed']);
  });

  it('open for one route where others get answers', () => {
    for (let i = 0; i < 5; i++) {
      timeouts('frozen', 1);
      circuits.answered('well');
    }
    expect(circuits.ask('well', 0)).to.equal('wait');
    expect(circuits.ask('frozen', 0)).to.equal('probe');
    expect(circuits.ask('frozen', 1)).to.equal('pass');
    expect(circuits.open).to.equal(1);
    circuits.answered('frozen');
    expect(circuits.ask('frozen', 2)).to.equal('wait');
    expect(circuits.open).to.equal(0);
  });
});
