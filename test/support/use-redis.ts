import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

/**
 * A Redis for the tests of a `describe`, which is empty before each of them. To the list that this returns a test adds
 * functions that close what it has opened: they are called after the test, the last first.
 */
export function useRedis(onStart: (started: { redis: PrivateRedis; client: Redis }) => void): (() => unknown)[] {
  let redis: PrivateRedis | undefined;
  let client: Redis | undefined;
  const opened: (() => unknown)[] = [];
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    onStart({ redis, client });
  });
  beforeEach(() => client?.flushall());
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });
  after(async () => {
    client?.disconnect();
    await redis?.stop();
  });
  return opened;
}
