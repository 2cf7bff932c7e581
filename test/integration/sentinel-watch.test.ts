import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { createWorker, type IntelligentSession, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { type SentinelTrio, startSentinel, startSentinelTrio } from '../support/sentinel.js';
import { startHole } from '../support/hole.js';
import { FaultyProxy } from '../support/proxy.js';
import { figures } from '../support/traffic.js';
import { until } from '../support/until.js';

const NAMESPACE = 'test:';
const session = (fields: object) => ({ cookie: { originalMaxAge: null }, ...fields }) as unknown as SessionData;

/** How many connections a server has but for replication, Sentinels and the asker's own. */
async function connectionsOf(client: Redis): Promise<number> {
  const list = String(await client.call('CLIENT', 'LIST'))
    .trim()
    .split('\n');
  return list.filter((line) => !/ name=sentinel-| flags=[SM] | cmd=client/.test(line)).length;
}

/** The rule of a Sentinel's user, as the documentation has it. */
function documentedRights(): string[] {
  const [, rights] = /`([^`]+)`,\s+for `sentinelUsername`/.exec(readFileSync('docs/security.md', 'utf8')) ?? [];
  return (rights as string).split(' ');
}

describe('the watch over a failover', () => {
  let trio: SentinelTrio;
  let redis: { sentinels: { host: string; port: number }[]; name: string };
  before(async function () {
    this.timeout(60_000);
    trio = await startSentinelTrio();
    redis = { sentinels: [...trio.sentinels], name: 'main' };
  });
  after(async function () {
    this.timeout(60_000);
    await trio?.stop();
  });

  const subscribersOf = async (port: number) => {
    const client = new Redis(port);
    const list = String(await client.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).trim();
    client.disconnect();
    // Sentinels subscribe to masters, never to each other
    return list === '' ? 0 : list.split('\n').length;
  };
  const watchers = async () =>
    (await Promise.all(trio.sentinels.map(({ port }) => subscribersOf(port)))).reduce((all, one) => all + one, 0);

  it('one connection to one Sentinel serves all clients of a process, the next Sentinel when it is lost, none at the end', async () => {
    const stores = Array.from({ length: 3 }, () => new RedisSessionStore({ redis, nearCache: {} }));
    await Promise.all(stores.map((store) => store.get('nobody')));
    await until('a Sentinel has a subscriber', async () => (await watchers()) === 1);
    const [watched] = (
      await Promise.all(trio.sentinels.map(async ({ port }) => ((await subscribersOf(port)) === 1 ? port : 0)))
    ).filter(Boolean);
    const killer = new Redis(watched as number);
    await killer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    killer.disconnect();
    await until('another Sentinel has it', async () => {
      return (await subscribersOf(watched as number)) === 0 && (await watchers()) === 1;
    });
    await stores[0]?.close();
    await stores[1]?.close();
    expect(await watchers(), 'while one client is left').to.equal(1);
    await stores[2]?.close();
    await until('nobody watches', async () => (await watchers()) === 0);
  });

  it('ioredis’ own watch is left out: its end of a connection that is just being made would be for good', async () => {
    const store = new RedisSessionStore({ redis: { ...redis, failoverDetector: true } });
    try {
      await once(store, 'connect');
      expect((store.client as Redis).options.failoverDetector).to.equal(false);
    } finally {
      await store.close();
    }
  });

  it('a Sentinel that takes connections and never answers holds up nobody', async () => {
    const mute = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as AddressInfo;
    const store = new RedisSessionStore({
      redis: { sentinels: [{ host: '127.0.0.1', port }, ...trio.sentinels], name: 'main' },
    });
    try {
      await once(store, 'connect');
      await until('the watch has gone on to the next', async () => (await watchers()) === 1);
      await store.set('beside', session({ there: true }));
      expect(await store.get('beside')).to.include({ there: true });
    } finally {
      await store.close();
      mute.close();
    }
  });

  it('user, password and natMap of the Sentinels are used, and what docs/security.md allows that user is enough', async function () {
    this.timeout(30_000);
    const sentinel = await startSentinel(trio.master.port);
    const proxy = await FaultyProxy.open(trio.master.port);
    const through = Number(new URL(proxy.url).port);
    const admin = new Redis(sentinel.port);
    await admin.call('ACL', 'SETUSER', 'watcher', 'on', '>long', ...documentedRights());
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>other');
    const store = new RedisSessionStore({
      redis: {
        sentinels: [{ host: '127.0.0.1', port: sentinel.port }],
        name: 'main',
        sentinelUsername: 'watcher',
        sentinelPassword: 'long',
        natMap: { [`127.0.0.1:${trio.master.port}`]: { host: '127.0.0.1', port: through } },
      },
    });
    try {
      await once(store, 'connect');
      expect((store.client as Redis).stream.remotePort).to.equal(through);
      await until('the watch listens', async () => {
        return /user=watcher/.test(String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub')));
      });
      const refused = ((await admin.call('ACL', 'LOG')) as string[][]).map(
        (entry) => entry[entry.indexOf('object') + 1],
      );
      // ioredis says who it is, which Redis 6.2 calls by the command alone
      expect(refused.filter((command) => !/^client(\|setinfo)?$/.test(command as string))).to.deep.equal([]);
    } finally {
      await store.close();
      admin.disconnect();
      await proxy.close();
      await sentinel.stop();
    }
  });

  it('SENTINEL FAILOVER under load: within a second all roles are at the new master, and what it takes is there', async function () {
    this.timeout(60_000);
    const sessions: IntelligentSession = intelligentSession({
      redis,
      namespace: NAMESPACE,
      secret: 'test',
      store: { nearCache: {} },
    });
    const worker = await createWorker({ redis, namespace: NAMESPACE });
    const store = sessions.store as RedisSessionStore;
    const [old, next] = [new Redis(trio.master.port), new Redis(trio.replica.port)];
    const [leader, other] = trio.sentinels.slice(1).map(({ port }) => new Redis({ port, protocol: 2 })) as [
      Redis,
      Redis,
    ];
    const acknowledged: { sid: string; askedMs: number }[] = [];
    let [saved, failed, on] = [0, 0, true];
    const save = async () => {
      while (on) {
        const sid = `load-${saved++}`;
        const askedMs = performance.now();
        await store.set(sid, session({ sid })).then(
          () => acknowledged.push({ sid, askedMs }),
          () => failed++,
        );
        await new Promise(setImmediate);
      }
    };
    const load = Promise.all([save(), save()]);
    const missing = async (since: number) => {
      const since_ = acknowledged.filter(({ askedMs }) => askedMs >= since);
      const there = await Promise.all(since_.map(({ sid }) => next.exists(`sess:${sid}`)));
      return { of: since_.length, gone: there.filter((one) => one === 0).length };
    };
    try {
      await until('all roles are connected', async () => (await connectionsOf(old)) >= 6);
      const before = await connectionsOf(old);
      await other.subscribe('+switch-master');
      const told = once(other, 'message');
      await leader.call('SENTINEL', 'FAILOVER', 'main');
      await told;
      const toldMs = performance.now();
      await until(
        `all ${before} connections are at the new master`,
        async () => (await connectionsOf(old)) === 0 && (await connectionsOf(next)) >= before,
        1000,
      );
      const movedMs = performance.now() - toldMs;
      const enough = acknowledged.length + 500;
      await until('five hundred more are saved', () => acknowledged.length > enough);
      on = false;
      await load;
      const { of, gone } = await missing(toldMs + movedMs);
      const all = await missing(0);
      figures(`all roles moved ${movedMs.toFixed(0)} ms after +switch-master; ${failed} saves failed;`);
      figures(`${all.gone} of ${all.of} acknowledged saves are gone`);
      expect(of).to.be.above(400);
      expect(gone, 'of those that were saved after it').to.equal(0);
      expect(await worker.isReady()).to.equal(true);
    } finally {
      on = false;
      await load;
      await worker.close();
      await sessions.close();
      for (const client of [old, next, leader, other]) client.disconnect();
    }
  });
});

describe('a master that is frozen', () => {
  it('is replaced: sessions are back at the new one within some seconds, and none waits longer than maxWaitMs', async function () {
    this.timeout(60_000);
    const trio = await startSentinelTrio();
    const store = new RedisSessionStore({ redis: { sentinels: [...trio.sentinels], name: 'main' } });
    try {
      await store.set('before', session({ n: 1 }));
      process.kill(trio.master.pid, 'SIGSTOP');
      const frozenMs = performance.now();
      let slowestMs = 0;
      const saves = async () => {
        const askedMs = performance.now();
        const saved = await store.set('after', session({ n: 2 })).then(
          () => true,
          () => false,
        );
        slowestMs = Math.max(slowestMs, performance.now() - askedMs);
        return saved;
      };
      await until('a session is saved again', saves, 10_000);
      figures(`saved again ${(performance.now() - frozenMs).toFixed(0)} ms after, slowest ${slowestMs.toFixed(0)} ms`);
      expect(slowestMs).to.be.below(3500);
      expect(await store.get('after')).to.include({ n: 2 });
    } finally {
      process.kill(trio.master.pid, 'SIGCONT');
      await store.close();
      await trio.stop();
    }
  });
});

describe('a machine that is gone with its master', () => {
  it('is left for the new master, though a connection to it is just being made', async function () {
    this.timeout(60_000);
    const trio = await startSentinelTrio();
    const hole = await startHole();
    let isGone = false;
    const store = new RedisSessionStore({
      redis: {
        sentinels: [...trio.sentinels],
        name: 'main',
        // longer than this test takes
        connectTimeout: 120_000,
        natMap: (address) => (isGone && address.endsWith(`:${trio.master.port}`) ? hole : null),
      },
    });
    const client = store.client as Redis;
    const leader = new Redis(trio.sentinels[0]?.port as number);
    try {
      await once(store, 'connect');
      isGone = true;
      client.stream.destroy();
      await until('a connection is being made', () => client.status === 'connecting' && client.stream.connecting);
      await leader.call('SENTINEL', 'FAILOVER', 'main');
      await until('the store is at the new master', () => client.status === 'ready', 20_000);
      expect(client.stream.remotePort).to.equal(trio.replica.port);
    } finally {
      leader.disconnect();
      await store.close();
      hole.stop();
      await trio.stop();
    }
  });
});
