import { expect } from 'chai';
import { redisFault } from '../../lib/errors/errors.js';
import { WarnOnce } from '../../lib/errors/warnings.js';
import { DeadConnectionError } from '../../lib/redis/liveness.js';
import { Warnings } from '../support/warnings.js';

describe('a fault that nobody listens to', () => {
  /** The texts that are told of these faults, where Redis is away on the owner's first connection. */
  const toldWhileAway = (...faults: string[]) =>
    told(
      false,
      faults.map((fault) => new Error(fault)),
    );

  async function told(isReady: boolean, faults: Error[]): Promise<string[]> {
    const warnings = new Warnings();
    const once = new WarnOnce();
    for (const fault of faults) once.unheard(redisFault(fault), isReady);
    await new Promise((resolve) => process.nextTick(resolve)); // process.emitWarning() tells its listeners then
    warnings.close();
    return warnings.of('FAULT');
  }

  it('is no line where Redis is away: that has a line of its own', async () => {
    expect(await toldWhileAway('connect ECONNREFUSED 127.0.0.1:1', 'Connection is closed.')).to.deep.equal([]);
  });

  it('is a line where a right is missing, though the owner’s first connection is not ready yet; once', async () => {
    const noBlocking = "NOPERM this user has no permissions to run the 'blmpop' command";
    const lines = await toldWhileAway(noBlocking, noBlocking);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include(noBlocking);
  });

  it('is no line where a connection breaks, which is told as away: it takes no other fault its line', async () => {
    const breaks = Array.from({ length: 20 }, (_, i) => new DeadConnectionError(1500 + i, 'a PING got no answer'));
    const missing = "NOPERM this user has no permissions to run the 'xadd' command";
    const lines = await told(true, [new Error('read ECONNRESET'), ...breaks, new Error(missing)]);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include(missing);
  });

  it('is a line of its kind once, whatever numbers are in it', async () => {
    const moved = (slot: number) => new Error(`MOVED ${slot} 10.0.0.${slot % 7}:6379`);
    const lines = await told(true, [...Array.from({ length: 20 }, (_, i) => moved(i)), new Error('OOM command')]);
    expect(lines).to.have.length(2);
    expect(lines[0]).to.include('MOVED 0 10.0.0.0:6379');
    expect(lines[1]).to.include('OOM');
  });
});
