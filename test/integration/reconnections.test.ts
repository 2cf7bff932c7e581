import { once } from 'node:events';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { Availability } from '../../lib/redis/availability.js';
import { CommandLimit } from '../../lib/redis/command-limit.js';
import { whenReady } from '../../lib/redis/connect.js';
import { endConnection } from '../../lib/redis/end-connection.js';
import { distanceMsOf } from '../../lib/redis/liveness.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { watchConnection } from '../../lib/redis/prepare-connection.js';
import { Subscriber } from '../../lib/redis/subscriber.js';
import { ListChanges } from '../../lib/notifications/list-changes.js';
import { createWorker } from '../../lib/index.js';
import { Inbox } from '../../lib/transport/replies/inbox.js';
import { startDistance } from '../support/delay.js';
import { FaultyProxy } from '../support/proxy.js';
import { rejected } from '../support/rejected.js';
import { startSentinel } from '../support/sentinel.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('a connection comes back', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));

  const clientsOf = async (pattern: RegExp): Promise<string[]> =>
    String(await client.client('LIST'))
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => / ?id=(\d+)/.exec(line)?.[1] as string);

  it('an inbox that Redis has stopped reading, while Sentinels are slow to name the master', async () => {
    const sentinel = await startSentinel(redis.port);
    open.push(() => sentinel.stop());
    const proxy = await FaultyProxy.open(sentinel.port);
    open.push(() => proxy.close());
    const port = Number(new URL(proxy.url).port);
    const target = openTarget({ sentinels: [{ host: '127.0.0.1', port }], name: 'main', updateSentinels: false });
    open.push(() => endConnection(target.client));
    const inbox = new Inbox(
      target,
      '',
      () => {},
      () => {},
    );
    open.push(() => inbox.close());
    let [readies, ended] = [0, false];
    inbox.client.on('ready', () => readies++).on('end', () => (ended = true));
    let blocked: string | undefined;
    await until('the inbox is read', async () => {
      [blocked] = await clientsOf(/ cmd=blmpop/);
      return blocked !== undefined;
    });
    proxy.handshakeMs = 500; // so that ioredis still asks when the inbox would connect again
    await client.client('UNBLOCK', Number(blocked), 'ERROR'); // as a master does that becomes a replica
    await until('it has a new connection, or is given up', () => readies === 2 || ended);
    expect(ended).to.equal(false);
    await until('and is read again', async () => (await clientsOf(/ cmd=blmpop/)).length === 1);
  });

  it('one by Sentinels, and no fault is told where all of them answer', async () => {
    const sentinel = await startSentinel(redis.port);
    open.push(() => sentinel.stop());
    const target = openTarget({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'main' });
    open.push(() => endConnection(target.client));
    const faults: string[] = [];
    target.client.on('error', ({ message }) => faults.push(message));
    await until('it is connected', () => target.client.status === 'ready');
    for (let n = 0; n < 3; n++) {
      const again = once(target.client, 'close').then(() =>
        until('it is back', () => target.client.status === 'ready'),
      );
      (target.client as Redis).stream.destroy();
      await again;
    }
    expect(faults).to.deep.equal([]);
  });

  it('one by Sentinels that are far away, and who waits for it is not refused before', async () => {
    const sentinel = await startSentinel(redis.port);
    open.push(() => sentinel.stop());
    const [farSentinel, farRedis] = await Promise.all([
      startDistance(sentinel.port, 200),
      startDistance(redis.port, 200),
    ]);
    open.push(farSentinel.stop, farRedis.stop);
    const at = ({ url }: { url: string }) => ({ host: '127.0.0.1', port: Number(new URL(url).port) });
    const natMap = { [`127.0.0.1:${redis.port}`]: at(farRedis) };
    const target = openTarget({ sentinels: [at(farSentinel)], name: 'main', natMap, updateSentinels: true });
    open.push(() => endConnection(target.client));
    const availability = new Availability(target.client, 20_000);
    let isRefused = false;
    availability.on('away', () => (isRefused = true));
    await availability.ready();
    await until('the distance is known', () => distanceMsOf(target) >= 400);
    (target.client as Redis).stream.destroy();
    await once(target.client, 'close');
    await until('it is back, or refused', () => isRefused || availability.state === 'ready');
    expect(isRefused).to.equal(false);
  });

  it('a Cluster’s node that is far away, and commands that wait for it are not failed before', async () => {
    const far = await startDistance(redis.port, 300);
    open.push(far.stop);
    const limit = new CommandLimit(10_000);
    // as a Cluster's client makes its nodes
    const makeNode = () => {
      const node = new Redis(far.url, { lazyConnect: true, retryStrategy: () => null });
      open.push(() => endConnection(node));
      watchConnection(node, 'commands');
      limit.watch(node.on('error', () => {}));
      return node;
    };
    const lost = makeNode();
    await lost.set('any', 'value');
    lost.stream.destroy();
    await once(lost, 'end');
    expect(await makeNode().get('any')).to.equal('value');
  });

  it('none that was ended for good, and who begins to wait for it then is told at once', async () => {
    const { client: ended } = openTarget(redis.url);
    endConnection(ended);
    await once(ended, 'end');
    // a time limit that no test waits for
    expect(await rejected(whenReady(ended, 3_600_000))).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
  });

  it('a worker’s, once, though a listener of the application throws when it is ready again', async () => {
    const worker = await createWorker({ redis: redis.url });
    open.push(() => worker.close());
    const faults: string[] = [];
    let readies = 0;
    worker.on('fault', (error) => faults.push(error.message));
    worker.on('ready', () => {
      readies++;
      throw new Error('of the application');
    });
    const listeners = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown: string[] = [];
    process.on('uncaughtException', ({ message }) => thrown.push(message));
    try {
      const [subscribed] = await clientsOf(/ cmd=psubscribe/);
      await client.client('KILL', 'ID', Number(subscribed));
      await until('what it throws is told, or taken for a fault', () => thrown.length + faults.length > 0);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener as never);
    }
    expect(thrown).to.deep.equal(['of the application']);
    expect(faults).to.deep.equal([]);
    expect(readies).to.equal(1);
    expect(worker.listening).to.equal(true);
  });

  it('one that is lost while it subscribes, and no fault is told', async () => {
    const target = openTarget(redis.url);
    open.push(() => endConnection(target.client));
    const subscriber = new Subscriber(target, ['any:*']);
    open.push(() => subscriber.close());
    const faults: string[] = [];
    subscriber.on('fault', ({ message }) => faults.push(message));
    subscriber.client.prependOnceListener('ready', () => subscriber.client.disconnect(true));
    await once(subscriber, 'ready');
    expect(faults).to.deep.equal([]);
  });

  it('one whose subscription a busy Redis has refused, and the channel is heard', async () => {
    const target = openTarget(redis.url);
    open.push(() => endConnection(target.client));
    const changes = new ListChanges(target, '');
    open.push(() => changes.close());
    const faults: string[] = [];
    changes.on('fault', ({ message }) => faults.push(message));
    changes.follow({ group: 'before' }, () => {});
    await once(changes, 'ready');
    await client.config('SET', 'lua-time-limit', '50');
    const endless = new Redis(redis.url);
    const killed = endless.eval('while true do end', 0).catch(() => endless.disconnect());
    await until('Redis says so', async () => (await client.get('any').catch(String))?.includes('BUSY') === true);
    changes.follow({ group: 'any' }, () => {});
    await until('the subscription is refused', () => faults.length > 0);
    await client.script('KILL');
    await killed;
    await until('the channel is heard', () => changes.isHeard({ group: 'any' }));
  });

  it('a subscription does not, once it was ended: a worker that closes takes no more messages', async () => {
    const target = openTarget(redis.url);
    open.push(() => endConnection(target.client));
    const subscriber = new Subscriber(target, ['any:*']);
    open.push(() => subscriber.close());
    await once(subscriber, 'ready');
    await subscriber.unsubscribe();
    const [connection] = await clientsOf(/ cmd=punsubscribe/);
    await client.client('KILL', 'ID', Number(connection));
    await once(subscriber.client, 'ready');
    await subscriber.client.ping(); // behind what it sends when it is ready
    expect(subscriber.subscribed).to.equal(false);
    expect(await client.pubsub('NUMPAT')).to.equal(0);
  });
});
