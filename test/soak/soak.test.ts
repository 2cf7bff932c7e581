import { expect } from 'chai';
import { describe as describeViolation } from '../../soak/checker.js';
import { soak } from '../../soak/soak.js';
import { figures } from '../support/traffic.js';

const SIZE = { processes: 3, visitors: 16, seed: 12 };

describe('a short soak', () => {
  it('under faults, what was acknowledged is there, and what was logged out stays so', async function () {
    this.timeout(120_000);
    const { operations, faults, violations } = await soak({ ...SIZE, ms: 12_000, saveMode: 'merge', faults: true });
    figures(`${JSON.stringify(operations)}, ${JSON.stringify([...faults])}`);
    expect(operations.acknowledged).to.be.above(500);
    expect(operations.failed + operations.unknown, 'what the faults did').to.be.above(10);
    expect(faults.size, 'kinds of faults').to.be.above(4);
    expect(violations.map(describeViolation)).to.deep.equal([]);
  });

  it("finds what saveMode 'overwrite' loses", async function () {
    this.timeout(60_000);
    const { operations, violations } = await soak({ ...SIZE, ms: 3000, saveMode: 'overwrite', faults: false });
    expect(operations.failed + operations.unknown).to.equal(0);
    expect(violations.map(({ rule }) => rule)).to.include('lost-change');
  });
});
