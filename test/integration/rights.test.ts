import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { type AclRole, type AclScope, rightsOf } from '../../lib/acl/rights.js';
import { AclGround } from '../support/acl-ground.js';
import { neededBy, type Right, without, wordsOf } from '../support/acl-map.js';
import { type Scenario, scenarios } from '../support/acl-scenarios.js';
import { startCluster } from '../support/cluster.js';
import { flavours, startServer } from '../support/servers.js';

/** Has a role a right? In a Cluster, what it has on one Redis too is tried there. */
const isIn = (role: AclRole, scope: AclScope, name: string, word: string): boolean =>
  rightsOf(role, scope).some((group) => group.name === name && wordsOf(group).includes(word));

/** Each right that a scenario's roles have, and the scenario that needs it. */
async function rightsAt(ground: AclGround): Promise<Map<Right, Scenario | undefined>> {
  const found = new Map<string, Right>();
  const has = new Map<string, Set<string>>();
  const selectors = (await ground.scopeOf({})).server.version[0] >= 7;
  for (const [name, { roles, scope, cluster = false }] of Object.entries(scenarios)) {
    if (cluster !== ground.isCluster) continue;
    const whole = await ground.scopeOf(scope);
    for (const role of roles)
      for (const group of rightsOf(role, whole))
        for (const word of wordsOf(group)) {
          if (ground.isCluster && isIn(role, { ...whole, cluster: false }, group.name, word)) continue;
          const right = { role, group: group.name, word };
          const id = selectors ? `${role} ${group.name} ${word}` : `${role} ${word.replace(/^%[RW]~/, '~')}`;
          if (!found.has(id)) found.set(id, right);
          has.set(id, (has.get(id) ?? new Set()).add(name));
        }
  }
  return new Map(
    Array.from(found, ([id, right]) => [
      right,
      scenarios[neededBy(right).find((name) => has.get(id)?.has(name)) ?? ''],
    ]),
  );
}

/** Runs a scenario under its rights but for one: why it failed, or undefined. */
async function runsWithout(right: Right, scenario: Scenario, ground: AclGround): Promise<string | undefined> {
  await ground.prepare(scenario.roles, scenario.scope, (role, groups) =>
    role === right.role ? without(groups, right, ground.hasSelectors) : groups,
  );
  let over = false;
  const failed = scenario.run(ground).then(
    () => undefined,
    (error: Error) => error.message.split('\n')[0],
  );
  /** A scenario also fails where anything was refused: that is known before the rest of it has waited in vain. */
  const refused = async () => {
    for (; !over; await pause(10)) {
      const [first] = await ground.refused();
      if (first) return first;
    }
    return undefined;
  };
  const unheard = listenToUnheard();
  const why = await Promise.race([failed, refused()]);
  over = true;
  await ground.close();
  await failed;
  unheard.end();
  return why ?? (await ground.refused())[0];
}

/** A refused ASKING is a rejection that ioredis leaves to nobody: it would end the run. */
function listenToUnheard(): { end(): void } {
  const listeners = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => {
    if (!/^NOPERM/.test(error.message)) throw error;
  });
  return {
    end: () => {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    },
  };
}

/** Every right, or one in so many. */
async function areNeeded(ground: AclGround, oneIn = 1): Promise<void> {
  const needless: string[] = [];
  for (const [i, [right, scenario]] of [...(await rightsAt(ground))].entries()) {
    if (i % oneIn !== 0) continue;
    const name = `${right.role} ${right.group} ${right.word}`;
    if (!scenario) needless.push(`${name}: no scenario is named for it`);
    else {
      const why = await runsWithout(right, scenario, ground);
      if (why === undefined) needless.push(`${name}: "${scenario.title}" passes without it`);
    }
  }
  expect(needless).to.deep.equal([]);
}

/** `npm run test:rights` takes each right away on each server; without it that is done on one, and a sample elsewhere. */
const everywhere = process.env.RIGHTS === 'all';

describe('a right that is taken away', () => {
  for (const flavour of flavours)
    it(`makes the test fail that is named for it (${flavour.name})`, async function () {
      this.timeout(600_000);
      const redis = await startServer(this, flavour);
      const ground = new AclGround([redis.port]);
      try {
        await areNeeded(ground, everywhere || flavour.name === 'redis-7.0, fallback' ? 1 : 20);
      } finally {
        ground.end();
        await redis.stop();
      }
    });

  it('makes the test fail that is named for it (a Cluster)', async function () {
    this.timeout(600_000);
    const cluster = await startCluster(3, [], { replicas: true });
    const ground = new AclGround(
      cluster.nodes.map(({ port }) => port),
      3,
    );
    try {
      await areNeeded(ground);
    } finally {
      ground.end();
      await cluster.stop();
    }
  });
});
