import { expect } from 'chai';
import { Cluster, Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession } from '../../lib/index.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { storedItemsIn } from '../../lib/intelligence/command/stored-item.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { type CarryGround, itCarriesWhatIsKnown } from '../contract/carried.js';
import { itemSecret, onCluster, onServers, startWorkerOf, type Way, type Ways, ways } from '../support/ways.js';

const namespace = 'carried:';
const base = { namespace, secret: 'test' } as const;

const all: Ways = {
  ...ways,
  'pub/sub, with itemSecret': { itemSecret },
  'pub/sub, a list a request': { replies: 'list' },
};

/** Opens what carries commands out by these options; gives what closes it as well. */
async function openGround(redis: string | Cluster, client: Redis | Cluster, options: Way) {
  const worker = await startWorkerOf({ ...base, ...options, redis });
  const sessions = intelligentSession({ ...base, ...options, redis });
  const ground: CarryGround = { client, serving: sessions.serving, itemSecret: options.itemSecret };
  return { ground, close: async () => void (await Promise.all([sessions.close(), worker?.close()])) };
}

onServers(
  'what a login carries',
  all,
  ({ server }, way) => server === 'redis-7.0' || way === 'pub/sub' || way === 'embedded',
  openGround,
  (opened) => itCarriesWhatIsKnown(namespace, () => opened().ground),
);
onCluster('what a login carries', ways, openGround, (opened) => itCarriesWhatIsKnown(namespace, () => opened().ground));

/** Of these pages, those that a HyperLogLog of the others does not tell from them. */
const INDISTINCT = `
for i = 2, 101 do redis.call('PFADD', KEYS[1], ARGV[i]) end
local sketch, found = redis.call('GET', KEYS[1]), {}
for i = 102, #ARGV do
  redis.call('SET', KEYS[1], sketch)
  if redis.call('PFADD', KEYS[1], ARGV[i]) == 0 then found[#found + 1] = i - 2 end
end
redis.call('DEL', KEYS[1])
return found`;

describe('what is noted of an anonymous visitor for a login', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let opened: Awaited<ReturnType<typeof openGround>>;
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    opened = await openGround(redis.url, client, { worker: 'embedded' });
  });
  after(async () => {
    await opened?.close();
    client?.disconnect();
    await redis?.stop();
  });

  it('is 128 pages and 128 notifications at most, whatever they are called', async function () {
    this.timeout(60_000);
    const { serving } = opened.ground;
    // whoever knows how pages are stored can choose names that all count as few different pages
    const names = Array.from({ length: 60_000 }, (_, i) => `/${i}`);
    const found: number[] = [];
    const stored = names.map((name) => storedItems(undefined).of('', name));
    for (let i = 100; i < stored.length; i += 5000) {
      const some = await client.eval(
        INDISTINCT,
        1,
        'sketch',
        '',
        ...stored.slice(0, 100),
        ...stored.slice(i, i + 5000),
      );
      found.push(...(some as number[]).map((n) => n - 100 + i));
    }
    expect(found.length).to.be.above(100);
    const pages = [...names.slice(0, 100), ...found.map((i) => names[i] as string)];
    const options = { ttlSeconds: 60, timeoutMs: 10_000, isAnonymous: true };
    for (const page of pages) {
      const answer = await serving.ask('pageview', 'visitor', page, options);
      expect(answer).to.have.nested.property('data.uniquePages').below(128);
    }
    for (let i = 0; i < 200; i++) await serving.ask('mark-notification-seen', 'visitor', `n${i}`, options);
    const keys = commandKeys(namespace, 'visitor');
    for (const name of ['visited-items', 'notified-items'] as const)
      expect(storedItemsIn((await client.get(keys[name])) ?? ''), name).to.have.lengthOf(128);
  });
});
