import { expect } from 'chai';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { AclGround } from '../support/acl-ground.js';
import { type Scenario, scenarios } from '../support/acl-scenarios.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { flavours, startServer } from '../support/servers.js';

async function runs(scenario: Scenario, ground: AclGround): Promise<void> {
  await ground.prepare(scenario.roles, scenario.scope);
  try {
    await scenario.run(ground);
  } finally {
    await ground.close();
  }
  expect(await ground.refused()).to.deep.equal([]);
}

for (const flavour of flavours)
  describe(`least privilege (${flavour.name})`, () => {
    let redis: PrivateRedis;
    let ground: AclGround;
    before(async function () {
      redis = await startServer(this, flavour);
      ground = new AclGround([redis.port]);
    });
    after(async () => {
      ground?.end();
      await redis?.stop();
    });
    for (const scenario of Object.values(scenarios))
      if (!scenario.cluster) it(scenario.title, () => runs(scenario, ground));
  });

describe('least privilege (a Cluster)', () => {
  let cluster: PrivateCluster;
  let ground: AclGround;
  before(async () => {
    cluster = await startCluster(3, [], { replicas: true });
    ground = new AclGround(
      cluster.nodes.map(({ port }) => port),
      3,
    );
  });
  after(async () => {
    ground?.end();
    await cluster?.stop();
  });
  for (const scenario of Object.values(scenarios))
    if (scenario.cluster) it(scenario.title, () => runs(scenario, ground));
});
