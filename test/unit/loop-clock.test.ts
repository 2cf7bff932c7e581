import { expect } from 'chai';
import { LoopTimeout, loopNowMs, loopSignal, onLoopTick } from '../../lib/redis/loop-clock.js';
import { stall } from '../support/stall.js';

describe('the loop’s clock', () => {
  it('counts a stall as one tick, and time without one as it is', async () => {
    let ticks = 0;
    const ten = new Promise<void>((resolve) => {
      const stop = onLoopTick(() => {
        if (++ticks < 10) return;
        stop();
        resolve();
      });
    });
    const [loopMs, wallMs] = [loopNowMs(), performance.now()];
    await ten;
    const counted = loopNowMs() - loopMs;
    expect(counted).to.be.within(100, performance.now() - wallMs + 1);
    const keep = onLoopTick(() => {});
    const before = loopNowMs();
    stall(500);
    expect(loopNowMs() - before).to.be.at.most(41);
    keep();
  });

  it('a timeout that a stall outlasts waits on, and what has arrived meanwhile comes first', async () => {
    const order: string[] = [];
    const fired = new Promise<void>((resolve) => {
      new LoopTimeout(() => {
        order.push('timeout');
        resolve();
      }, 100);
    });
    setTimeout(() => order.push('timer of the stall'), 300);
    const began = performance.now();
    stall(400);
    await fired;
    expect(order).to.deep.equal(['timer of the stall', 'timeout']);
    expect(performance.now() - began).to.be.at.least(450);
  });

  it('a timeout that is cleared is never called, and a signal can be cleared too', async () => {
    let called = 0;
    const timeout = new LoopTimeout(() => called++, 10);
    const limit = loopSignal(10);
    timeout.clear();
    limit.clear();
    await new Promise<void>((resolve) => new LoopTimeout(resolve, 50));
    expect(called).to.equal(0);
    expect(limit.signal.aborted).to.equal(false);
  });
});
