import { expect } from 'chai';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type Worker } from '../../lib/index.js';
import type { IntelligentSessionError } from '../../lib/errors/errors.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { streamKey } from '../../lib/redis/keys.js';
import { inboxKey, type Message, parseChannel, replyListOf } from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import type { RemoteExecutorOptions } from '../../lib/serving/remote-executor-options.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { viewsOf } from '../support/views.js';

const inboxOf = (message: Message): string => replyListOf('', message)?.key ?? '';

/** What an account of the same Redis can do that has no right to our keys: all of pub/sub, as each account had up to Redis 6.2. */
/** What messages leave behind: which published notifications were read is written by the site itself. */
const counted = (sid: string): string[] => {
  const { seen: _, ...keys } = intelligenceKeys('', sid);
  return Object.values(keys);
};

describe('a neighbour who may use pub/sub and none of our keys', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let neighbour: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  beforeEach(async () => {
    await client.call('ACL', 'SETUSER', 'neighbour', 'reset', 'on', '>secret', 'allchannels', 'resetkeys', '+@all');
    neighbour = await account('neighbour');
  });

  const account = async (username: string): Promise<Redis> => {
    const one = new Redis({ port: redis.port, username, password: 'secret' });
    opened.push(() => one.disconnect());
    await one.ping();
    return one;
  };
  const serve = (options: RemoteExecutorOptions = {}): RemoteExecutor => {
    const serving = new RemoteExecutor(redis.url, options);
    opened.push(() => serving.close());
    return serving;
  };
  const work = async (options: Parameters<typeof createWorker>[0] = {}) => {
    const worker = await createWorker({ redis: redis.url, ...options });
    opened.push(() => worker.close());
    return worker;
  };
  const refused = async (serving: RemoteExecutor): Promise<number> =>
    Number(/requests_total\{command="\w+",result="refused"\} (\d+)/.exec(await serving.metrics.metrics())?.[1] ?? 0);

  /** The neighbour's second connection publishes what `forge` makes of each message that the first one hears. */
  const forging = async (forge: (channel: string) => [channel: string, payload: string] | undefined) => {
    const ears = neighbour.duplicate();
    opened.push(() => ears.disconnect());
    ears.on('pmessage', (_pattern, channel: string) => {
      const forged = forge(channel);
      if (forged) void neighbour.publish(...forged);
    });
    await ears.psubscribe('*');
  };

  it('can’t answer for a command by publishing another one with its request id', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await work({ commands: { price: () => released.then(() => 'the price') } });
    const serving = serve();
    await forging((channel) =>
      channel.startsWith('ss:price:')
        ? [channel.replace('ss:price:', 'ss:featuredpages:'), '["their text"]']
        : undefined,
    );
    const asked = serving.ask('price', 'sid', '', { ttlSeconds: 60, timeoutMs: 10_000 });
    let settled = false;
    void asked.then(() => {
      settled = true;
    });
    await until('their answer has come', async () => settled || (await refused(serving)) === 1);
    release();
    expect(await asked).to.deep.equal({ answered: true, data: 'the price' });
  });

  it('can’t answer with what has not the shape of the command’s answer', async () => {
    const serving = serve();
    // the only listener is the neighbour's: no worker answers before it
    const ears = neighbour.duplicate();
    opened.push(() => ears.disconnect());
    const heard = new Promise<string>((resolve) =>
      ears.on('pmessage', (_pattern, channel: string) => resolve(channel)),
    );
    await ears.psubscribe('ss:*');
    const asked = serving.ask('featuredpages', 'sid', ['/a'], { ttlSeconds: 60, timeoutMs: 10_000 });
    const message = parseChannel('', await heard);
    const answer = (data: unknown) => {
      const { id, nonce } = message.request;
      return JSON.stringify({ id, command: 'featuredpages', ...(nonce !== undefined && { nonce }), data });
    };
    const shapeless = [5, 'text', { length: 1 }, [1], [['/a']]].map(answer);
    await client.rpush(inboxOf(message), ...shapeless, answer(['/a']));
    expect(await asked).to.deep.equal({ answered: true, data: ['/a'] });
    expect(await refused(serving)).to.equal(shapeless.length);
  });

  it('who knows inbox, sender and number, and heard no request, can’t answer it', async () => {
    await work();
    const serving = serve();
    let seen: Message | undefined;
    const ears = client.duplicate();
    opened.push(() => ears.disconnect());
    ears.on('pmessage', (_pattern, channel: string) => {
      seen = parseChannel('', channel);
    });
    await ears.psubscribe('ss:*');
    await serving.ask('featuredpages', 'sid', ['/a'], { ttlSeconds: 60, timeoutMs: 10_000 });
    const message = seen as Message;
    const { id, nonce } = message.request;
    expect(nonce).to.match(/^[\w-]{16,64}$/);
    const next = id.replace(/~(\w+)$/, (_, n: string) => `~${(Number.parseInt(n, 36) + 1).toString(36)}`);
    // what they push is there before the request is
    const forged = [undefined, nonce, 'x'.repeat(22)].map((one) =>
      JSON.stringify({ id: next, command: 'featuredpages', ...(one !== undefined && { nonce: one }), data: [] }),
    );
    const asked = serving.ask('featuredpages', 'sid', ['/a'], { ttlSeconds: 60, timeoutMs: 10_000 });
    await client.rpush(inboxOf(message), ...forged);
    expect(await asked).to.deep.equal({ answered: true, data: ['/a'] });
  });

  it('is no harm to an older worker, whose answers repeat no nonce', async () => {
    const serving = serve();
    const old = client.duplicate();
    opened.push(() => old.disconnect());
    old.on('pmessage', (_pattern, channel: string) => {
      const [id, inbox] = (channel.split(':')[3] as string).split('@') as [string, string];
      void client.rpush(inboxKey('', inbox), JSON.stringify({ id, command: 'price', data: 7 }));
    });
    await old.psubscribe('ss:*');
    for (let i = 0; i < 2; i++)
      expect(await serving.ask('price', 'sid', '', { ttlSeconds: 60, timeoutMs: 10_000 })).to.deep.equal({
        answered: true,
        data: 7,
      });
  });

  it('with `stream` hears nothing, and can put nothing into a stream, an inbox or the keys', async () => {
    await client.call('ACL', 'SETUSER', 'site', 'reset', 'on', '>secret', 'resetchannels', '~shop:*', '+@all');
    const site = { port: redis.port, username: 'site', password: 'secret' };
    const worker = await createWorker({ redis: site, namespace: 'shop:', transport: 'stream' });
    opened.push(() => worker.close());
    const serving = new RemoteExecutor(site, { namespace: 'shop:', transport: 'stream' });
    opened.push(() => serving.close());
    const heard: string[] = [];
    const ears = neighbour.duplicate();
    opened.push(() => ears.disconnect());
    ears.on('pmessage', (_pattern, channel: string) => heard.push(channel));
    await ears.psubscribe('*');
    expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 10_000 })).to.have.nested.property(
      'data.totalPages',
      1,
    );
    expect(
      await serving.ask('featuredpages', 'sid', ['/a', '/b'], { ttlSeconds: 60, timeoutMs: 10_000 }),
    ).to.have.deep.property('data', ['/b']);
    // whoever listens to everything has heard this one, and would have heard what came before
    await neighbour.publish('mine', '');
    await until('the neighbour hears', () => heard.length > 0);
    expect(heard).to.deep.equal(['mine']);

    for (const [command, ...args] of [
      ['XADD', 'shop:ss:stream:{0}', '*', 'r1', 'pageview:sid:1@@@60', 'p', '/x'],
      ['XRANGE', 'shop:ss:stream:{0}', '-', '+'],
      ['RPUSH', 'shop:async:inbox:whatever', '{}'],
      ['BLPOP', 'shop:async:inbox:whatever', '1'],
      ['GET', 'shop:ss:{sid}:activity'],
      ['EVAL', 'return redis.call("GET", KEYS[1])', '1', 'shop:ss:{sid}:activity'],
      ['EVAL', 'return redis.call("GET", "shop:ss:{sid}:activity")', '0'],
    ] as [string, ...string[]][])
      expect(await neighbour.call(command, ...args).catch(String), command).to.match(
        /NOPERM|can't access at least one|permissions/,
      );
    expect(await neighbour.publish('shop:ss:pageview:sid:1@@@60', '/x'), 'who hears a forged message').to.equal(1);
    expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 10_000 })).to.have.nested.property(
      'data.totalPages',
      2,
    );
  });

  it('with the publisher role: 60 entries of 8 MB that gathered end no worker, and others’ page views are answered', async function () {
    this.timeout(120_000);
    const options = { namespace: 'large:', transport: 'stream', partitions: 1 } as const;
    const key = streamKey('large:', 0);
    const large = 'x'.repeat(8 * 1024 * 1024);
    for (let i = 0; i < 60; i++) await client.xadd(key, '*', 'r1', `pageview:sid:${i}@@@60`, 'p', large);
    const args = ['--redis', redis.url, '--namespace', 'large:', '--transport', 'stream', '--partitions', '1'];
    const worker = new WorkerProcess(args, 'ignore', { NODE_OPTIONS: '--max-old-space-size=256' });
    opened.push(() => worker.stop());
    await worker.start();
    const serving = serve(options);
    // a stream that holds more than 16 MB takes none: it is drained first
    const answered = async () =>
      !worker.running ||
      (await serving.ask('pageview', 'other', '/', { ttlSeconds: 600, timeoutMs: 1_000 })).answered === true;
    await until('another visitor’s is answered, or the worker has ended', answered, 60_000);
    expect(worker.running).to.equal(true);
    expect(await client.xlen(key)).to.be.below(60);
  });

  it('on pub/sub hears and injects nothing where an ACL leaves it its own channels only', async () => {
    await client.call('ACL', 'SETUSER', 'own', 'reset', 'on', '>secret', '~own:*', 'resetchannels', '&own:*', '+@all');
    const own = await account('own');
    for (const [command, ...args] of [
      ['PSUBSCRIBE', '*'],
      ['PSUBSCRIBE', 'ss:*'],
      ['SUBSCRIBE', 'ss:pageview:sid:1@@@60'],
      ['PUBLISH', 'ss:pageview:sid:1@@@60', '/x'],
    ] as [string, ...string[]][])
      expect(await own.call(command, ...args).catch(String), command).to.match(/NOPERM/);
  });
});

describe('an account that may publish and nothing else', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let publisher: Redis;
  let worker: Worker;
  let lines: string[];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    await client.call(
      'ACL',
      'SETUSER',
      'publisher',
      'reset',
      'on',
      '>secret',
      'resetchannels',
      '&ss:*',
      'resetkeys',
      '+publish',
      '+info',
    );
    publisher = new Redis({ port: redis.port, username: 'publisher', password: 'secret' });
  });
  after(async () => {
    publisher?.disconnect();
    client?.disconnect();
    await redis?.stop();
  });
  beforeEach(async () => {
    await client.flushall();
    lines = [];
    const log = { info: () => {}, warn: (line: string) => lines.push(line) };
    worker = await createWorker({ redis: redis.url, log, commands: { own: () => 'own' } });
  });
  afterEach(() => worker.close());

  /** Sends it, and waits until the worker has done all that was published before. */
  const send = async (...messages: [channel: string, payload: string][]) => {
    const pipeline = publisher.pipeline();
    for (const message of messages) pipeline.publish(...message);
    await pipeline.exec();
    await publisher.publish('ss:pageview:last:1@@@60', '/');
    await until('all were worked on', async () => (await viewsOf(client, '', 'last')) > 0);
    await client.unlink(...Object.values(intelligenceKeys('', 'last')));
    await until('nothing waits', async () => !/worker_waiting [1-9]/.test(await worker.metrics.metrics()));
  };

  it('keeps nothing for centuries', async () => {
    await send(
      ['ss:pageview:victim:1@@@9999999999@@a', '/a'],
      ['ss:mark-notification-seen:victim:2@@@9999999999@@a', 'n'],
    );
    const days = 400 * 86_400_000;
    for (const key of counted('victim'))
      expect(await client.pttl(key), key).to.be.within(days - 60_000, (days * 17) / 16);
  });

  it('ends nothing that is known of a session whose id it knows', async () => {
    await send(['ss:pageview:victim:1@@@3600@@a', '/a'], ['ss:mark-notification-seen:victim:2@@@3600@@a', 'n']);
    await send(
      ['ss:pageview:victim:3@@@1@@a', '/a'],
      ['ss:pageview:victim:4@@@1@@a', '/b'],
      ['ss:mark-notification-seen:victim:5@@@1@@a', 'n'],
      ['ss:mark-notification-seen:victim:6@@@1@@a', 'other'],
    );
    for (const key of counted('victim')) expect(await client.pttl(key), key).to.be.above(3_590_000);
  });

  it('has an anonymous visitor’s data carried to any user, and takes or ends nothing of a user', async () => {
    const [user, own] = ['robin', 'publisher'].map((name) => userSubject(name, undefined)) as [string, string];
    await send(['ss:pageview:visitor:1@@@3600@@a', '/a'], [`ss:pageview:${user}:5@@@3600`, '/b']);
    await send([`ss:carry:${own}:2@@@1`, 'visitor']);
    await until('it is carried', async () => (await viewsOf(client, '', own)) === 1);
    expect(await viewsOf(client, '', 'visitor')).to.equal(0);
    for (const named of [user, user.replace('~', '%7E')]) await send([`ss:carry:${own}:3@@@3600`, named]);
    // a visitor of the publisher's own, with the shortest life
    await send(['ss:pageview:own:6@@@1@@a', '/a'], [`ss:carry:${user}:4@@@1`, 'own']);
    await until('that is carried, too', async () => (await viewsOf(client, '', user)) === 2);
    expect(await viewsOf(client, '', own)).to.be.below(2);
    expect(await client.pttl(intelligenceKeys('', user).activity)).to.be.above(3_590_000);
  });

  for (const command of ['pageview', 'featuredpages', 'own'])
    it(`neither appends to a list of somebody else’s nor lets it expire (${command})`, async () => {
      const lists = [`async:${command}:theirs:1`, 'async:inbox:somebody-else'];
      for (const list of lists) await client.rpush(list, 'theirs');
      await client.rpush('async:inbox:a-longer-one', 'theirs');
      await client.expire('async:inbox:a-longer-one', 3600);
      await send(
        [`ss:${command}:theirs:1`, '[]'],
        [`ss:${command}:theirs:2@somebody-else@@60`, '[]'],
        [`ss:${command}:theirs:3@a-longer-one@@60`, '[]'],
      );
      // own commands answer in a turn of their own: this one behind them
      await send([`ss:${command}:ours:4@inbox-of-ours@@60`, '[]']);
      await until('ours is answered', async () => (await client.llen('async:inbox:inbox-of-ours')) === 1);
      for (const list of lists) {
        expect(await client.lrange(list, 0, -1), list).to.deep.equal(['theirs']);
        expect(await client.pttl(list), list).to.equal(-1);
      }
      expect(await client.llen('async:inbox:a-longer-one')).to.equal(1);
      expect(await client.ttl('async:inbox:a-longer-one')).to.be.above(3500);
    });

  it('fills no inbox beyond 10,000 answers, and one that grows over 1,000 is not kept alive', async () => {
    const ask = (i: number): [string, string] => [`ss:featuredpages:sid:${i}@never-drained@@60`, '["/a"]'];
    await send(...Array.from({ length: 1_500 }, (_, i) => ask(i)));
    await client.pexpire('async:inbox:never-drained', 4_000);
    await send(...Array.from({ length: 10_500 }, (_, i) => ask(i)));
    expect(await client.llen('async:inbox:never-drained')).to.equal(10_000);
    expect(await client.pttl('async:inbox:never-drained')).to.be.below(4_000);
  });

  it('takes no more of Redis’ memory than 32 MB by answers that nobody fetches; who fetches theirs gets them', async function () {
    this.timeout(60_000);
    const memory = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
    const serving = new RemoteExecutor(redis.url, {});
    const faults: string[] = [];
    worker.on('fault', ({ message }) => faults.push(message));
    try {
      for (let i = 0; i < 3; i++)
        await serving.ask('featuredpages', 'real', ['/a'], { ttlSeconds: 60, timeoutMs: 10_000 });
      const before = await memory();
      const pages = JSON.stringify(Array.from({ length: 80 }, (_, i) => `${i}${'€'.repeat(1_000)}`));
      let most = 0;
      for (let round = 0; round < 20; round++) {
        for (const command of ['featuredpages', 'own'])
          await send(
            ...Array.from({ length: 40 }, (_, i): [string, string] => [
              `ss:${command}:sid:${i}@undrained-${command}-${round}-${i}@@60`,
              pages,
            ]),
          );
        const asked = await serving.ask('featuredpages', 'real', ['/a'], { ttlSeconds: 60, timeoutMs: 10_000 });
        expect(asked).to.deep.equal({ answered: true, data: ['/a'] });
        let held = 0;
        for (const key of await client.keys('async:inbox:undrained-*'))
          held += (await client.lindexBuffer(key, 0))?.length ?? 0;
        most = Math.max(most, held);
      }
      await until('it is told', () => faults.join().includes('nobody fetches'));
      expect(most).to.be.within(20_000_000, 32 * 1024 * 1024 + 64 * 262_144);
      expect((await memory()) - before).to.be.below(120_000_000);
    } finally {
      await serving.close();
    }
  });

  it('is not heard beyond the sizes and forms of the wire', async () => {
    const faults: Error[] = [];
    worker.on('fault', (error) => faults.push(error));
    const long = 'x'.repeat(513);
    const bad: [string, string][] = [
      [`ss:pageview:${long}:1@@@60`, '/a'],
      [`ss:pageview:${'x'.repeat(300_000)}:1@@@60`, '/a'],
      [`ss:pageview:sid:${long}`, '/a'],
      [`ss:pageview:sid:1@${'x'.repeat(300_000)}@@60`, '/a'],
      ['ss:pageview:sid:1@short@@60', '/a'],
      [`ss:pageview:sid:1@${'x'.repeat(65)}@@60`, '/a'],
      ['ss:pageview:sid:1@in box{a}*@@60', '/a'],
      ['ss:pageview:sid:1@inbox-of-ours@@60@no nonce"', '/a'],
      ['ss:pageview:sid:1@@@60', 'x'.repeat(262_145)],
      ['ss:pageview:sid:1@@@60', 'é'.repeat(131_073)],
      ['ss:own:sid:1@@@60', 'x'.repeat(20_000_000)],
    ];
    const before = await client.dbsize();
    for (const message of bad) {
      faults.length = 0;
      await send(message);
      expect(
        faults.map((error) => (error as IntelligentSessionError).code),
        message[0].slice(0, 60),
      ).to.deep.equal(['ERR_INTELLIGENT_SESSION_MESSAGE']);
    }
    expect(await client.dbsize()).to.equal(before);
  });

  it('fills no log: 3,000 bad messages are a line a second at most, and are counted', async () => {
    const startedMs = performance.now();
    for (let i = 0; i < 3; i++)
      await send(...Array.from({ length: 1_000 }, (_, n): [string, string] => [`ss:pageview:sid:${n}@!@@60`, '/a']));
    await worker.close();
    const seconds = Math.ceil((performance.now() - startedMs) / 1000);
    expect(lines.length).to.be.within(1, 1 + seconds);
    const told = lines.map((line) => Number(/\((\d[\d,]*) times/.exec(line)?.[1]?.replace(',', '') ?? 1));
    expect(told.reduce((all, one) => all + one, 0)).to.equal(3_000);
    const counted = /messages_total\{command="unknown",result="refused"\} (\d+)/.exec(await worker.metrics.metrics());
    expect(Number(counted?.[1])).to.equal(3_000);
  });
});
