import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Cluster, Redis } from 'ioredis';
import sinon from 'sinon';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications, type Notifications, UnconfirmedError } from '../../lib/notifications/index.js';
import { notificationsKey } from '../../lib/redis/keys.js';
import { startCluster } from '../support/cluster.js';
import { PublicationStream } from '../support/publication-stream.js';
import { rejected } from '../support/rejected.js';
import { startSentinelTrio } from '../support/sentinel.js';
import { cached, type Flavour, flavours, missing } from '../support/servers.js';
import { until } from '../support/until.js';
import { Warnings } from '../support/warnings.js';

const GROUP = { group: 'customers' };
const KEY = notificationsKey('', 'customers');

describe('a publication whose promise resolved', () => {
  it('is there after Redis was killed (appendfsync always) and started again, and the promise of none is lost', async function () {
    this.timeout(60_000);
    const folder = mkdtempSync(join(tmpdir(), 'kept-'));
    const args = ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'];
    let redis = await startPrivateRedis({ args });
    const notifications = createNotifications({ redis: redis.url, maxPerGroup: 1000 });
    notifications.on('away', () => {}).on('fault', () => {});
    const stream = new PublicationStream(notifications, 8);
    try {
      for (const more of [150, 150, 150]) {
        await stream.publishes(more);
        process.kill(redis.pid, 'SIGKILL');
        await redis.stop(); // its port is free then
        redis = await startPrivateRedis({ args, port: redis.port });
      }
      await stream.publishes(50);
      await stream.stop();
      expect(stream.acknowledged.length).to.be.at.least(500);
      expect(await stream.lost()).to.deep.equal([]);
      for (const error of stream.errors)
        expect(error)
          .to.have.property('code')
          .that.matches(/_(UNCONFIRMED|NOT_READY)$/);
    } finally {
      await stream.stop();
      await notifications.close();
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('is there after a failover of Sentinels, with durable', async function () {
    this.timeout(60_000);
    const trio = await startSentinelTrio();
    const place = { sentinels: [...trio.sentinels], name: 'main' };
    const notifications = createNotifications({ redis: place, durable: {}, maxPerGroup: 1000, maxWaitMs: 10_000 });
    notifications.on('away', () => {}).on('fault', () => {});
    const stream = new PublicationStream(notifications, 8);
    try {
      await stream.publishes(300);
      process.kill(trio.master.pid, 'SIGKILL');
      // the new master has no replica: what is published now is written, and its publisher is told that it is not durable
      await until('a new master takes publications', () => stream.errors.some(isNotDurable), 30_000);
      await stream.stop();
      expect(await stream.lost()).to.deep.equal([]);
      const id = await rejected(notifications.publish(GROUP, { id: 'after', title: 'x' }));
      expect(id).to.be.instanceOf(UnconfirmedError).with.property('id', 'after');
      expect((await notifications.list(GROUP)).map((one) => one.id)).to.deep.equal(['after']);
    } finally {
      await stream.stop();
      await notifications.close();
      await trio.stop();
    }
  });
});

describe('durable', () => {
  const withReplica = async (
    act: (given: { notifications: Notifications; master: Redis; replica: number }) => Promise<void>,
    {
      server = 'redis-7.0',
      replicas = 1,
      timeoutMs = 700,
    }: { server?: Flavour['server']; replicas?: number; timeoutMs?: number } = {},
  ) => {
    const folder = mkdtempSync(join(tmpdir(), 'durable-'));
    const args = ['--repl-diskless-sync-delay', '0', '--dir', folder];
    const binary = server === 'redis-7.0' ? {} : { binary: cached(server) };
    const redis = await startPrivateRedis({ ...binary, args });
    const replica = await startPrivateRedis({
      ...binary,
      args: [...args, '--dbfilename', 'replica.rdb', '--replicaof', '127.0.0.1', String(redis.port)],
    });
    const master = new Redis(redis.url);
    const notifications = createNotifications({ redis: redis.url, durable: { timeoutMs, replicas } });
    try {
      await master.set('written', 'once');
      await until('the replica has what was written', async () => (await master.wait(1, 100)) === 1);
      await act({ notifications, master, replica: replica.pid });
    } finally {
      process.kill(replica.pid, 'SIGCONT');
      await notifications.close();
      master.disconnect();
      await Promise.all([redis.stop(), replica.stop()]);
      rmSync(folder, { recursive: true, force: true });
    }
  };

  for (const flavour of flavours.filter(({ bloom }) => bloom === 'fallback'))
    it(`says where no replica has it that it is written and not confirmed, also when it is published again (${flavour.server})`, async function () {
      if (missing(flavour)) this.skip(); // `npm run servers` was not run; startServer() of the other tests says so
      const { server } = flavour;
      await withReplica(
        async ({ notifications, master, replica }) => {
          // on a busy machine a replica may be late; the same call again is safe
          const before = () => notifications.publish(GROUP, { id: 'before', title: 'x' });
          await until('the replica has it', () =>
            before().then(
              () => true,
              () => false,
            ),
          );
          process.kill(replica, 'SIGSTOP');
          for (const again of [false, true]) {
            // a new connection has written nothing: WAIT alone would say at once that all have it
            if (again) await master.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
            const error = await rejected(notifications.publish(GROUP, { id: 'x', title: 'x' }));
            expect(error, String(again)).to.be.instanceOf(UnconfirmedError);
            expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_NOT_DURABLE', id: 'x' });
            expect(error.message).to.match(/0 of 1 replicas/);
          }
          expect(await rejected(notifications.edit(GROUP, 'x', { title: 'y' }))).to.satisfy(isNotDurable);
          expect(await rejected(notifications.remove(GROUP, 'none'))).to.satisfy(isNotDurable);
          expect((await notifications.list(GROUP)).map(({ title }) => title)).to.deep.equal(['y', 'x']);
          process.kill(replica, 'SIGCONT');
          await until('the replica is back', () =>
            notifications.publish(GROUP, { id: 'x', title: 'x' }).then(
              () => true,
              () => false,
            ),
          );
        },
        { server },
      );
    });

  it('holds up no reading while it waits, and confirms many publications by few WAITs', () =>
    withReplica(
      async ({ notifications, master, replica }) => {
        await master.config('RESETSTAT');
        await Promise.all(Array.from({ length: 100 }, () => notifications.publish(GROUP, { title: 'x' })));
        const calls = Number(/cmdstat_wait:calls=(\d+)/.exec(await master.info('commandstats'))?.[1]);
        // three publications or more a WAIT, also where replies trickle in on a busy machine
        expect(calls).to.be.within(1, 33);
        process.kill(replica, 'SIGSTOP');
        const waiting = rejected(notifications.publish(GROUP, { id: 'last', title: 'x' }));
        await until('it is written', async () => (await master.hexists(KEY, 'last')) === 1);
        let isWaiting = true;
        void waiting.then(() => (isWaiting = false));
        await notifications.list(GROUP);
        expect(isWaiting).to.equal(true);
        await waiting;
      },
      { timeoutMs: 3000 },
    ));

  it('asks for as many replicas as it says', () =>
    withReplica(
      async ({ notifications }) => {
        const publish = () => rejected(notifications.publish(GROUP, { id: 'x', title: 'x' }));
        expect((await publish()).message).to.match(/[01] of 2 replicas/);
        // on a busy machine the replica may be late; the same call again is safe
        await until('one of the two has it', async () => /1 of 2 replicas/.test((await publish()).message));
      },
      { replicas: 2 },
    ));

  it('waits on the node that has the list, in a Cluster', async function () {
    this.timeout(90_000);
    const cluster = await startCluster(3, [], { replicas: true });
    const client = new Cluster([...cluster.nodes]);
    const notifications = createNotifications({ client, durable: {}, maxPerGroup: 1000 });
    const stream = new PublicationStream(notifications, 6);
    try {
      await stream.publishes(100);
      cluster.kill(await cluster.masterOf(notificationsKey('', stream.groups[0] as string)));
      await stream.publishes(100);
      await until('a replica was elected', async () => (await cluster.masters()).length === 3, 30_000);
      await stream.stop();
      expect(await stream.lost()).to.deep.equal([]);
    } finally {
      await stream.stop();
      await notifications.close();
      client.disconnect();
      await cluster.stop();
    }
  });
});

describe('while Redis does not answer, a publication', () => {
  it('waits for maxWaitMs, and its promise says that it may be written; it is there once Redis goes on', async () => {
    const redis = await startPrivateRedis();
    const notifications = createNotifications({ redis: redis.url, maxWaitMs: 400 });
    notifications.on('away', () => {}).on('fault', () => {});
    try {
      await notifications.list(GROUP);
      process.kill(redis.pid, 'SIGSTOP');
      const begun = performance.now();
      const error = await rejected(notifications.publish(GROUP, { title: 'x' }));
      expect(performance.now() - begun).to.be.within(300, 2000);
      expect(error).to.be.instanceOf(UnconfirmedError);
      expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_UNCONFIRMED' });
      const { id } = error as UnconfirmedError;
      process.kill(redis.pid, 'SIGCONT');
      const again = async () => {
        await notifications.publish(GROUP, { id: id as string, title: 'x' });
        return true;
      };
      await until('it is published', () => again().catch(() => false));
      expect((await notifications.list(GROUP)).map((one) => one.id)).to.deep.equal([id]);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
      await notifications.close();
      await redis.stop();
    }
  });

  for (const call of ['list', 'edit'] as const)
    it(`is told apart from a call that had only read: ${call}() says that nothing was written`, async () => {
      const redis = await startPrivateRedis();
      const notifications = createNotifications({ redis: redis.url, maxWaitMs: 400 });
      notifications.on('away', () => {}).on('fault', () => {});
      try {
        const id = await notifications.publish(GROUP, { title: 'x' });
        process.kill(redis.pid, 'SIGSTOP');
        const asked =
          call === 'list' ? notifications.list(GROUP) : notifications.edit(GROUP, id, { title: 'another title' });
        const error = await rejected(asked);
        expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
        expect(error.message).to.match(/no answer within 400 ms. Nothing was written/);
        process.kill(redis.pid, 'SIGCONT');
        await until('it is the same', async () => {
          const [one] = await notifications.list(GROUP).catch(() => []);
          return one?.title === 'x';
        });
      } finally {
        process.kill(redis.pid, 'SIGCONT');
        await notifications.close();
        await redis.stop();
      }
    });

  it('is not said to be unwritten that was changed by a write without an answer: edit() says that it may be', async () => {
    const redis = await startPrivateRedis();
    const notifications = createNotifications({ redis: redis.url, maxWaitMs: 400 });
    notifications.on('away', () => {}).on('fault', () => {});
    const sandbox = sinon.createSandbox();
    try {
      const id = await notifications.publish(GROUP, { title: 'x' });
      // The script's reply is lost, and then Redis gives no answer to the second HGET.
      const evaluate = Redis.prototype.eval as (...args: unknown[]) => Promise<unknown>;
      sandbox
        .stub(Redis.prototype, 'eval')
        .callsFake(evaluate as never)
        .onFirstCall()
        .callsFake(async function (this: Redis, ...args: unknown[]) {
          await evaluate.apply(this, args);
          throw new Error('Connection is closed.');
        } as never);
      const get = Redis.prototype.hget as (...args: unknown[]) => Promise<unknown>;
      sandbox
        .stub(Redis.prototype, 'hget')
        .callsFake((() => new Promise(() => {})) as never)
        .onFirstCall()
        .callsFake(get as never);
      const error = await rejected(notifications.edit(GROUP, id, { title: 'another title' }));
      expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_UNCONFIRMED', id });
      sandbox.restore();
      expect((await notifications.list(GROUP))[0]).to.have.property('title', 'another title');
    } finally {
      sandbox.restore();
      await notifications.close();
      await redis.stop();
    }
  });

  it('is not said to be unwritten either where others edit the same again and again after a write without an answer', async () => {
    const redis = await startPrivateRedis();
    const notifications = createNotifications({ redis: redis.url });
    notifications.on('fault', () => {});
    const sandbox = sinon.createSandbox();
    try {
      const id = await notifications.publish(GROUP, { title: 'x' });
      // the first script's reply is lost, and before each later one another process has edited the notification
      const evaluate = Redis.prototype.eval as (...args: unknown[]) => Promise<unknown>;
      const changed = async () => [-1, ''];
      sandbox.stub(Redis.prototype, 'evalsha').callsFake(changed as never);
      sandbox
        .stub(Redis.prototype, 'eval')
        .callsFake(changed as never)
        .onFirstCall()
        .callsFake(async function (this: Redis, ...args: unknown[]) {
          await evaluate.apply(this, args);
          throw new Error('Connection is closed.');
        } as never);
      const error = await rejected(notifications.edit(GROUP, id, { title: 'another title' }));
      expect(error).to.be.instanceOf(UnconfirmedError);
      expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_UNCONFIRMED', id });
    } finally {
      sandbox.restore();
      await notifications.close();
      await redis.stop();
    }
  });

  it('is not written where there was never a connection, and the promise says that; one line tells', async () => {
    const redis = await startPrivateRedis();
    await redis.stop();
    const warnings = new Warnings();
    const notifications = createNotifications({ redis: redis.url, maxWaitMs: 300 });
    try {
      const error = await rejected(notifications.publish(GROUP, { title: 'x' }));
      expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      expect(error.message).to.match(/Nothing was written/);
      await rejected(notifications.publish(GROUP, { title: 'x' }));
      await until('the line is there', () => warnings.codes.length > 0);
      expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_REDIS_AWAY']);
      const away = once(notifications, 'back');
      const back = await startPrivateRedis({ port: redis.port });
      await away;
      expect(await notifications.publish(GROUP, { title: 'x' })).to.be.a('string');
      await notifications.close();
      await back.stop();
    } finally {
      warnings.close();
      await notifications.close();
    }
  });
});

const isNotDurable = (error: Error): boolean =>
  (error as UnconfirmedError).code === 'ERR_INTELLIGENT_SESSION_NOT_DURABLE';
