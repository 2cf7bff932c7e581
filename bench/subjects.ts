/**
 * What anonymous visitors who may become users cost Redis: carrying at a login, memory, page views: npm run bench:subjects (a minute).
 * --before=FOLDER: page views also by the scripts of an earlier version, in that folder with its node_modules.
 */
import { Cluster, Redis } from 'ioredis';
import { startPrivateRedis } from '../demo/private-redis.js';
import { PlainBloomFilter } from '../fallback/plain-bloom.js';
import { RedisBloomFilter } from '../lib/bloom/redis-bloom.js';
import { type IntelligentSessionOptions, intelligentSession } from '../lib/index.js';
import { storedItems } from '../lib/intelligence/command/stored-item.js';
import { userSubject } from '../lib/intelligence/command/subject.js';
import { keysOf } from '../lib/intelligence/commands.js';
import { pageview } from '../lib/intelligence/commands/pageview/index.js';
import { commandKeys } from '../lib/intelligence/keys.js';
import { commandScript, TO_CALLER } from '../lib/intelligence/script.js';
import { encodeId, intelligenceKey } from '../lib/redis/keys.js';
import { startCluster } from '../test/support/cluster.js';
import { cached } from '../test/support/servers.js';
import { commandStats, median, quick, report, round } from './support/figures.js';

const ROUNDS = quick ? 2 : 5;
const VISITORS = quick ? 10 : 40;
const TTL_SECONDS = 86_400;
const SECRET = 'a secret of more than sixteen';
const before = process.argv.find((arg) => arg.startsWith('--before='))?.slice(9);

const args = ['--loadmodule', process.env.REDIS_BLOOM_MODULE ?? cached('redisbloom.so')];
const redis = await startPrivateRedis({ args });
const client = new Redis(redis.url);
const cluster = await startCluster(3, args);
const masters = (await cluster.masters()).map(({ url }) => new Redis(url));
const clusterClient = new Cluster([...cluster.nodes]);

const blooms = ['module', 'fallback'] as const;
type Bloom = (typeof blooms)[number];
const times = <T>(count: number, of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i));

// What carries out the commands: an embedded site on one Redis, with and without a secret, and one on the Cluster
interface Site {
  readonly name: string;
  readonly bloom: Bloom;
  readonly namespace: string;
  readonly servers: readonly Redis[];
  readonly redis: Redis | Cluster;
  readonly itemSecret?: string;
}
const sites: (Site & ReturnType<typeof openSite>)[] = blooms.flatMap((bloom) =>
  (
    [
      { name: 'one Redis', servers: [client], redis: client },
      { name: 'one Redis, itemSecret', servers: [client], redis: client, itemSecret: SECRET },
      { name: 'a Cluster of three masters', servers: masters, redis: clusterClient },
    ] as const
  ).map((one, i) => {
    const site: Site = { ...one, bloom, namespace: `${bloom}${i}:` };
    return { ...site, ...openSite(site) };
  }),
);

function openSite({ bloom, namespace, redis, itemSecret }: Site) {
  const options: IntelligentSessionOptions = {
    ...{ redis, namespace, bloom, worker: 'embedded', secret: 'bench' },
    ...(itemSecret && { itemSecret }),
  };
  const { serving, close } = intelligentSession(options);
  const ask = async (command: string, subject: string, payload: unknown) => {
    const isAnonymous = !subject.endsWith('~');
    const answer = await serving.ask(command, subject, payload, {
      ttlSeconds: TTL_SECONDS,
      timeoutMs: 30_000,
      isAnonymous,
    });
    if (!answer.answered) throw answer.error ?? new Error(answer.reason);
    return answer.data;
  };
  /** A subject that has viewed so many pages and read so many notifications. */
  const fill = async (subject: string, pages: number, notifications: number) => {
    await Promise.all(times(pages, (i) => ask('pageview', subject, `/category/product-${i}`)));
    await Promise.all(times(notifications, (i) => ask('mark-notification-seen', subject, `notification-${i}`)));
  };
  return { ask, fill, close };
}

// 1. carrying: what Redis is busy for, in the scripts and the commands of the executor beside them
const PAGES = 128;
const NOTIFICATIONS = 50;
let logins = 0;
type Users = 'a new user' | 'a user with 100 pages, 30 notifications';
const carried: Record<string, { site: string; bloom: Bloom; user: Users; usec: number[]; commands: number }> = {};

/** The commands that a client sent, without those that scripts called. */
async function sentDuring(servers: readonly Redis[], act: () => Promise<unknown>): Promise<string[]> {
  const monitors = await Promise.all(servers.map((server) => server.monitor()));
  const sent: string[] = [];
  for (const monitor of monitors)
    monitor.on('monitor', (_time, [name = '']: string[], source: string) => {
      if (source !== 'lua' && !/^(info|ping|cluster)$/i.test(name)) sent.push(name.toLowerCase());
    });
  await act();
  // what was sent after it is heard after it
  await Promise.all(
    monitors.map(async (monitor, i) => {
      const heard = new Promise((resolve) => {
        monitor.on('monitor', (_time, [name = '', text]: string[]) => name === 'echo' && text === 'end' && resolve(0));
      });
      await servers[i]?.echo('end');
      await heard;
      monitor.disconnect();
    }),
  );
  return sent.filter((name) => name !== 'echo');
}

async function carryAll(site: (typeof sites)[number], user: Users): Promise<void> {
  const { servers, itemSecret, ask, fill } = site;
  const all = await Promise.all(
    times(VISITORS, async () => {
      const n = ++logins;
      const one = { anonymous: `visitor-${n}`, user: userSubject(`user ${n}`, itemSecret) };
      await fill(one.anonymous, PAGES, NOTIFICATIONS);
      if (user !== 'a new user')
        for (const [command, of, count] of [
          ['pageview', '/user/page', 100],
          ['mark-notification-seen', 'of-user', 30],
        ] as const)
          await Promise.all(times(count, (i) => ask(command, one.user, `${of}-${i}`)));
      return one;
    }),
  );
  const [first, ...others] = all as [(typeof all)[0], ...typeof all];
  const sent = await sentDuring(servers, () => ask('carry', first.user, encodeId(first.anonymous)));
  for (const server of servers) await server.config('RESETSTAT');
  await Promise.all(
    others.map(async (one) => {
      if ((await ask('carry', one.user, encodeId(one.anonymous))) !== 1) throw new Error('nothing was carried');
    }),
  );
  let usec = 0;
  for (const server of servers) {
    const stats = await commandStats(server);
    usec += (stats.evalsha?.usec ?? 0) + (stats.eval?.usec ?? 0);
    // commands that ran inside a script are counted within it; UNLINK of the executor's own has what one took
    if (sent.includes('unlink') && stats.unlink)
      usec += (stats.unlink.usec / stats.unlink.calls) * (stats.evalsha?.calls ?? 0) * 0.5;
  }
  const row = (carried[`${site.namespace}${user}`] ??= {
    ...{ site: site.name, bloom: site.bloom, user, usec: [], commands: 0 },
  });
  row.usec.push(usec / others.length);
  row.commands = sent.length;
}

// 2. memory of all keys of a subject
const DAYS = 7;
async function memoryOf({ redis, namespace }: Site, subject: string): Promise<number> {
  let bytes = 0;
  for (const key of Object.values(commandKeys(namespace, subject)))
    bytes += Number((await redis.memory('USAGE', key as string)) ?? 0);
  return bytes;
}

async function memoryRow(site: (typeof sites)[number]) {
  const { bloom, name, namespace, itemSecret, fill, ask } = site;
  const visitor = 'b5kVqX3Lr0yT-visitor-of-32-chars';
  const user = userSubject('memory', itemSecret);
  await fill(visitor, 100, 0);
  await fill(user, 100, 30);
  // the days before today, as a visitor of every day has them
  const { activity } = commandKeys(namespace, user);
  const data = await client.getBuffer(activity);
  if (!data) throw new Error('there is no activity');
  data.writeUInt32LE(data.readUInt32LE(5) - DAYS + 1, 1);
  await client.set(activity, Buffer.concat([data, Buffer.alloc((DAYS - 1) * 180, 1)]), 'KEEPTTL');
  await ask('pageview', user, '/category/product-1');
  return {
    bloom,
    site: name,
    'anonymous, 100 pages: bytes': await memoryOf(site, visitor),
    'user, 100 pages, 30 notifications, 7 days: bytes': await memoryOf(site, user),
  };
}

// 3. page views of who may become a user, of who is one, and by an earlier version
interface Version {
  readonly commandScript: typeof commandScript;
  readonly pageview: typeof pageview;
  readonly keysOf: typeof keysOf;
  readonly filters: Readonly<Record<Bloom, RedisBloomFilter | PlainBloomFilter>>;
}
const filtersOf = (module_: typeof RedisBloomFilter, plain: typeof PlainBloomFilter) => ({
  module: new module_(client),
  fallback: new plain(client),
});
const now: Version = { commandScript, pageview, keysOf, filters: filtersOf(RedisBloomFilter, PlainBloomFilter) };
async function versionIn(folder: string): Promise<Version> {
  const load = (file: string) => import(`${folder}/${file}.ts`);
  const { RedisBloomFilter: module_ } = await load('lib/bloom/redis-bloom');
  const { PlainBloomFilter: plain } = await load('fallback/plain-bloom');
  return {
    commandScript: (await load('lib/intelligence/script')).commandScript,
    pageview: (await load('lib/intelligence/commands/pageview/index')).pageview,
    keysOf: (await load('lib/intelligence/commands')).keysOf,
    filters: filtersOf(module_, plain),
  };
}

const SESSIONS = 96;
const FIRST_PAGE = '/first';
const PAGES_EACH = quick ? 10 : 40;
interface Side {
  readonly name: string;
  readonly version: Version;
  readonly isAnonymous: boolean;
}
const sides: Side[] = [
  { name: 'user', version: now, isAnonymous: false },
  { name: 'anonymous', version: now, isAnonymous: true },
];
if (before) sides.push({ name: 'before', version: await versionIn(before), isAnonymous: false });
const views: Record<string, number[]> = {};

/** A side's view of one page by all sessions. */
function viewerOf(bloom: Bloom, perCall: number, { name, version, isAnonymous }: Side, r: number) {
  const of = {
    ...{ bloom: version.filters[bloom], activityDays: 7, combos: new Map(), messageAgeMs: 60_000 },
    items: storedItems(undefined),
    itemKey: (_: string, item: string) => item, // of an earlier version
  };
  const script = version.commandScript(of, TO_CALLER);
  const call = (page: string, id: string, from: number) => {
    // a subject's first page view takes all keys; in an earlier version, whose descriptor has a word there, each does
    const all = (page === FIRST_PAGE || !Array.isArray(version.pageview.keys)) && { all: true };
    const names = all ? version.keysOf(version.pageview) : version.pageview.keys;
    const keys: string[] = [];
    const messages = times(perCall, (i) => {
      const sid = `${r}-${perCall}-${from + i}-of-32-characters`;
      const key = keys.length + 1;
      for (const part of names) keys.push(intelligenceKey(`${bloom}-${name}:`, sid, part));
      const fields = version.pageview.fields({ sid, id, isAnonymous, payload: page }, of);
      return { ...fields, ...all, command: 'pageview', key, ttl: TTL_SECONDS * 1000, waits: true };
    });
    return script.run(client, [...keys, JSON.stringify(messages)], keys.length);
  };
  let count = 0;
  return async (page: string) => {
    const id = `bench~${(++count).toString(36)}`;
    await Promise.all(times(SESSIONS / perCall, (i) => call(page, id, i * perCall)));
  };
}

/** The sides view each page by turns, so that what else the machine does meets all of them. */
async function viewAll(bloom: Bloom, perCall: number, r: number): Promise<void> {
  const viewers = sides.map((side) => ({ side: side.name, view: viewerOf(bloom, perCall, side, r) }));
  for (const { view } of viewers) await view(FIRST_PAGE);
  for (const page of ['new page', 'page again']) {
    const took: Record<string, number[]> = {};
    for (let i = 0; i < PAGES_EACH; i++)
      for (const { side, view } of i % 2 ? viewers.toReversed() : viewers) {
        await client.config('RESETSTAT');
        await view(`/category/product-${i}`);
        const { evalsha } = await commandStats(client);
        (took[side] ??= []).push((evalsha?.usec ?? Number.NaN) / SESSIONS);
      }
    for (const [side, all] of Object.entries(took))
      (views[`${bloom} ${perCall} ${page} ${side}`] ??= []).push(median(all));
  }
}

const users: Users[] = ['a new user', 'a user with 100 pages, 30 notifications'];
for (let r = 0; r < ROUNDS; r++) {
  await client.flushdb();
  for (const master of masters) await master.flushdb();
  for (const site of r % 2 ? sites.toReversed() : sites) for (const user of users) await carryAll(site, user);
  for (const perCall of [1, 32]) for (const bloom of blooms) await viewAll(bloom, perCall, r);
}
const memory: object[] = [];
for (const site of sites) if (site.servers.length === 1) memory.push(await memoryRow(site));

const viewed = (bloom: Bloom, page: string, perCall: number, side: string) =>
  median(views[`${bloom} ${perCall} ${page} ${side}`] ?? []);
const pageviews = blooms.flatMap((bloom) =>
  [1, 32].flatMap((perCall) =>
    ['new page', 'page again'].map((page) => {
      const [user, anonymous, earlier] = ['user', 'anonymous', 'before'].map((side) =>
        viewed(bloom, page, perCall, side),
      ) as [number, number, number];
      return {
        ...{ bloom, 'views a call': perCall, page, 'user µs': round(user), 'anonymous µs': round(anonymous) },
        'anonymous / user': round(anonymous / user),
        ...(before && {
          'before µs': round(earlier),
          'anonymous / before': round(anonymous / earlier),
          'user / before': round(user / earlier),
        }),
      };
    }),
  ),
);

report('subjects', {
  'carrying 128 pages and 50 notifications, Redis’ own time': Object.values(carried).map(
    ({ site, bloom, user, usec, commands }) => ({
      ...{ site, bloom, user, ms: round(median(usec) / 1000, 3), 'commands, each waited for': commands },
    }),
  ),
  'memory of a subject, MEMORY USAGE of all keys': memory,
  'a page view, Redis’ own time': pageviews,
});
for (const { close } of sites) await close();
for (const one of [client, clusterClient, ...masters]) one.disconnect();
await redis.stop();
await cluster.stop();
