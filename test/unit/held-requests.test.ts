import { expect } from 'chai';
import { type HeldRequest, HeldRequests } from '../../lib/serving/held-requests.js';

describe('requests that wait for a connection', () => {
  let held: HeldRequests;
  let went: string[];
  beforeEach(() => {
    held = new HeldRequests(600_000);
    went = [];
  });
  afterEach(() => held.close());
  const request = (name: string, more: Partial<HeldRequest> = {}): HeldRequest => ({
    go: () => void went.push(name),
    fail: (reason) => void went.push(`${name} ${reason}`),
    ...more,
  });

  it('go in their order; where nobody waits any longer, what is sent all the same keeps its turn, and the rest is gone', () => {
    held.add(request('first'));
    held.add(request('a write', { stopWaiting: () => request('the write, without a waiter') }));
    held.add(request('a read', { stopWaiting: () => undefined }));
    held.add(request('last'));
    expect(held.isAwaited).to.equal(true);
    held.stopWaiting();
    expect(held.isAwaited).to.equal(false);
    held.flush();
    expect(went).to.deep.equal(['first', 'the write, without a waiter', 'last']);
    expect(held.isEmpty).to.equal(true);
  });

  it('are not lost where they are made by who hears that nobody waits any longer', () => {
    const stopWaiting = () => {
      held.add(request('sent meanwhile'));
      return undefined;
    };
    held.add(request('a read', { stopWaiting }));
    held.stopWaiting();
    held.flush();
    expect(went).to.deep.equal(['sent meanwhile']);
  });

  it('fail when it is closed, and so do those that come after', () => {
    held.add(request('held'));
    held.close();
    held.add(request('late'));
    expect(went).to.deep.equal(['held closed', 'late closed']);
  });
});
