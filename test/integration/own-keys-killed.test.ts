import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { ownKey } from '../../lib/redis/keys.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const namespace = 'own:';
const HOUR = 3600;
/** Each writes its key, and ends only where the file `go` is beside it. */
const file = `
import { existsSync } from 'node:fs';
const ended = async () => {
  if (!existsSync(new URL('go', import.meta.url))) await new Promise(() => {});
};
const keys = { wishlist: { merge: 'union' } };
export default {
  plain: {
    keys,
    async run({ keys: { wishlist }, payload, redis }) {
      await redis.sadd(wishlist, payload);
      await ended();
    },
  },
  bounded: {
    keys,
    async run({ keys: { wishlist }, payload, ttlSeconds, redis }) {
      await redis.multi().sadd(wishlist, payload).expire(wishlist, ttlSeconds, 'NX').exec();
      await ended();
    },
  },
};
`;

describe("a worker that is killed while an application's command runs", () => {
  let redis: PrivateRedis;
  let client: Redis;
  let folder: string;
  const opened = useRedis((started) => ({ redis, client } = started));
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'own-keys-'));
    await writeFile(join(folder, 'commands.mjs'), file);
  });
  afterEach(() => rm(join(folder, 'go'), { force: true }));
  after(() => rm(folder, { recursive: true }));

  const key = ownKey(namespace, 'visitor', 'wishlist');
  const { own } = commandKeys(namespace, 'visitor');

  /** A worker gets the command, writes, and is killed before it ends. */
  const killDuring = async (command: string, options: IntelligentSessionOptions = {}) => {
    const { transport = 'pubsub' } = options;
    const args = ['--redis', redis.url, '--namespace', namespace, '--transport', transport];
    const worker = new WorkerProcess([...args, '--commands', join(folder, 'commands.mjs')], 'ignore');
    opened.push(() => worker.stop('SIGKILL'));
    await worker.start();
    const { serving, close } = intelligentSession({ redis: redis.url, secret: 'test', namespace, ...options });
    opened.push(close);
    serving.send(command, 'visitor', 'lamp', { ttlSeconds: HOUR });
    await until('it was written', async () => (await client.exists(key)) === 1);
    await worker.stop('SIGKILL');
    await writeFile(join(folder, 'go'), '');
    return serving;
  };
  const startAnother = async (options: Parameters<typeof createWorker>[0] = {}) => {
    const { default: commands } = (await import(join(folder, 'commands.mjs'))) as { default: object };
    const worker = await createWorker({ redis: redis.url, namespace, commands: commands as never, ...options });
    opened.push(() => worker.close());
  };
  const expires = () => until('it expires with the session', async () => (await client.pttl(key)) > HOUR * 1000);

  it('leaves a new key without an expiry, of which the subject’s `own` knows', async () => {
    await killDuring('plain');
    expect(await client.pttl(key)).to.equal(-1);
    expect(await client.hgetall(own)).to.deep.equal({ wishlist: 'union' });
    expect(await client.pttl(own)).to.be.above(HOUR * 1000);
  });

  it('the next command on it gives it its expiry', async () => {
    const serving = await killDuring('plain');
    await startAnother();
    await serving.ask('plain', 'visitor', 'sofa', { ttlSeconds: HOUR, timeoutMs: 5000 });
    await expires();
    expect(await client.smembers(key)).to.have.members(['lamp', 'sofa']);
  });

  it('so does a page view that renews expiries', async () => {
    const serving = await killDuring('plain');
    await startAnother();
    await serving.ask('pageview', 'visitor', '/', { ttlSeconds: HOUR, timeoutMs: 5000 });
    await expires();
  });

  it('forget() erases it', async () => {
    const serving = await killDuring('plain');
    expect(await serving.forget('visitor')).to.equal(true);
    expect(await client.exists(key, own)).to.equal(0);
  });

  it('with streams another worker runs the command again, and the key has its expiry', async () => {
    await killDuring('plain', { transport: 'stream' });
    expect(await client.pttl(key)).to.equal(-1);
    await startAnother({ transport: 'stream' });
    await expires();
  });

  it('leaves none without an expiry where the command sets one as it writes', async () => {
    const serving = await killDuring('bounded');
    expect(await client.pttl(key)).to.be.within(1, HOUR * 1000);
    await startAnother();
    await serving.ask('bounded', 'visitor', 'sofa', { ttlSeconds: HOUR, timeoutMs: 5000 });
    await expires();
  });
});
