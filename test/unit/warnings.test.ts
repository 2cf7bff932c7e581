import { expect } from 'chai';
import { redisFault } from '../../lib/errors/errors.js';
import { WarnOnce } from '../../lib/errors/warnings.js';
import { Warnings } from '../support/warnings.js';

describe('a fault that nobody listens to', () => {
  /** The texts that are told of these faults, where Redis is away on the owner's first connection. */
  async function toldWhileAway(...faults: string[]): Promise<string[]> {
    const warnings = new Warnings();
    const once = new WarnOnce();
    for (const fault of faults) once.unheard(redisFault(new Error(fault)), false);
    await new Promise((resolve) => process.nextTick(resolve)); // process.emitWarning() tells its listeners then
    warnings.close();
    return warnings.of('FAULT');
  }

  it('is no line where Redis is away: that has a line of its own', async () => {
    expect(await toldWhileAway('connect ECONNREFUSED 127.0.0.1:1', 'Connection is closed.')).to.deep.equal([]);
  });

  it('is a line where a right is missing, though the owner’s first connection is not ready yet; once', async () => {
    const noBlocking = "NOPERM this user has no permissions to run the 'blmpop' command";
    const told = await toldWhileAway(noBlocking, noBlocking);
    expect(told).to.have.length(1);
    expect(told[0]).to.include(noBlocking);
  });
});
