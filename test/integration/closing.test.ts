import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { streamKey } from '../../lib/redis/keys.js';
import { createWorker, intelligentSession } from '../../lib/index.js';
import { targetOf } from '../../lib/redis/open-target.js';
import { Inbox } from '../../lib/transport/replies/inbox.js';
import { startCluster } from '../support/cluster.js';
import { FaultyProxy } from '../support/proxy.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';

const file = fileURLToPath(new URL('../support/closing-process.ts', import.meta.url));

/** A site in a process of its own. */
class ClosingSite {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  url = '';

  constructor(kind: 'middleware' | 'store', options: object) {
    this.child = fork(file, [kind, JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
    this.exited = once(this.child, 'exit');
  }

  async open(): Promise<this> {
    this.url = `http://127.0.0.1:${await this.#said('listening')}`;
    return this;
  }

  /** How long close() took, and how long the process stayed after it. */
  async close(): Promise<{ closeMs: number; stayedMs: number }> {
    const said = this.#said('closed');
    this.child.send('close');
    const closeMs = Number(await said);
    const started = performance.now();
    await this.exited;
    return { closeMs, stayedMs: performance.now() - started };
  }

  async #said(word: string): Promise<string> {
    for (;;) {
      const [message] = (await once(this.child, 'message')) as [string];
      if (message.startsWith(word)) return message.slice(word.length + 1);
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('shutting down', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open: ClosingSite[] = [];

  const site = async (kind: 'middleware' | 'store', options: object) => {
    const one = new ClosingSite(kind, options);
    open.push(one);
    return one.open();
  };

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  afterEach(() => {
    for (const one of open.splice(0)) one.kill();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });

  for (const [kind, options] of [
    ['middleware', { worker: 'embedded' }],
    ['middleware', { store: { user: undefined } }],
  ] as const)
    it(`a change that was answered is saved, though close() comes at once under load (${JSON.stringify(options)})`, async () => {
      const closing = await site(kind, { redis: redis.url, ...options });
      const answered = new Map<string, number>();
      const visit = async () => {
        const visitor = new Visitor(closing.url);
        for (;;) {
          const response = await visitor.fetch('/', { method: 'POST' });
          if (response.status !== 200) return; // came after the end
          const { sid, count } = (await response.json()) as { sid: string; count: number };
          answered.set(sid, count);
        }
      };
      const visitors = Array.from({ length: 60 }, () => visit().catch(() => {})); // until the site has gone
      await until('every visitor has been answered', () => answered.size === 60);
      const { stayedMs } = await closing.close();
      await Promise.all(visitors);
      const lost: string[] = [];
      for (const [sid, count] of answered) {
        const text = await client.get(`sess:${sid}`);
        if (!text || JSON.parse(text).count < count) lost.push(sid);
      }
      expect(lost).to.deep.equal([]);
      expect(stayedMs).to.be.below(1000);
    });

  it('a response that is under way when close() comes is the last of its connection, and its session is saved', async () => {
    const sessions = intelligentSession({ redis: redis.url, secret: 'test' });
    const work = new EventEmitter();
    const app = express();
    app.use(sessions);
    app.get('/', async (req, res) => {
      work.emit('begun');
      await once(work, 'done');
      Object.assign(req.session, { changed: true });
      res.json({ sid: req.sessionID });
    });
    const site = await Site.open(app);
    const begun = once(work, 'begun');
    const asked = fetch(site.url);
    await begun;
    const closed = sessions.close();
    expect(sessions.close()).to.equal(closed);
    work.emit('done');
    const response = await asked;
    const { sid } = (await response.json()) as { sid: string };
    await closed;
    expect(response.headers.get('connection')).to.equal('close');
    expect(JSON.parse((await client.get(`sess:${sid}`)) ?? '{}')).to.have.property('changed', true);
    await site.close();
  });

  it('close() of a response that does not end waits for its timeout, and no longer', async () => {
    const sessions = intelligentSession({ redis: redis.url, secret: 'test' });
    const app = express();
    app.use(sessions);
    app.get('/', (_req, res) => void res.write('an event stream'));
    const site = await Site.open(app);
    const response = await fetch(site.url); // one that nobody holds may be collected, which ends it
    const started = performance.now();
    await sessions.close({ timeout: 100 });
    expect(performance.now() - started).to.be.within(95, 1_000);
    await response.body?.cancel().catch(() => {});
    await site.close();
  });

  for (const transport of ['stream', 'pubsub'] as const)
    it(`a worker’s close() keeps its timeout where Redis does not answer any more (${transport})`, async () => {
      const frozen = await startPrivateRedis();
      try {
        const worker = await createWorker({ redis: frozen.url, transport });
        const faults: Error[] = [];
        worker.on('fault', (error) => faults.push(error));
        process.kill(frozen.pid, 'SIGSTOP');
        const started = performance.now();
        await worker.close({ timeout: 100 });
        expect(performance.now() - started).to.be.within(95, 1_500);
        expect(faults).to.deep.equal([]);
      } finally {
        process.kill(frozen.pid, 'SIGCONT');
        await frozen.stop();
      }
    });

  it('an inbox that is closed in the moment in which its connection is ready asks for nothing more', async () => {
    const inbox = new Inbox(
      targetOf(client),
      '',
      () => {},
      () => {},
    );
    inbox.client.prependListener('ready', () => inbox.close());
    // a rejection that nobody looked at would fail this test
    await once(inbox.client, 'end');
    expect(inbox.name).to.equal(undefined);
  });

  const kinds = [
    ['the store', 'store', {}],
    ['the store with its options', 'store', { nearCache: {}, expiredEvents: true }],
    ['the middleware', 'middleware', {}],
    ['the middleware without a worker', 'middleware', { worker: 'embedded' }],
    ['the middleware by stream', 'middleware', { transport: 'stream' }],
    ['the middleware with lists', 'middleware', { replies: 'list' }],
  ] as const;
  for (const [name, kind, options] of kinds) {
    it(`${name} closes, and its process ends: Redis healthy`, async () => {
      const closing = await site(kind, {
        ...(kind === 'store' ? { url: redis.url } : { redis: redis.url }),
        ...options,
      });
      await (await fetch(closing.url)).text();
      const { closeMs, stayedMs } = await closing.close();
      expect(closeMs).to.be.below(1_000);
      expect(stayedMs).to.be.below(1000);
    });

    it(`${name} closes at once, and its process ends: Redis not there`, async () => {
      const url = `redis://127.0.0.1:${await freePort()}`;
      const closing = await site(kind, { ...(kind === 'store' ? { url } : { redis: url }), ...options });
      const asked = fetch(closing.url).catch(() => {}); // is under way
      const { closeMs, stayedMs } = await closing.close();
      await asked;
      expect(closeMs).to.be.below(300);
      expect(stayedMs).to.be.below(1000);
    });

    it(`${name} closes, and its process ends: Redis frozen`, async () => {
      const frozen = await startPrivateRedis();
      try {
        const closing = await site(kind, {
          ...(kind === 'store' ? { url: frozen.url } : { redis: frozen.url }),
          ...options,
        });
        await (await fetch(closing.url)).text();
        process.kill(frozen.pid, 'SIGSTOP');
        const { closeMs, stayedMs } = await closing.close();
        expect(closeMs).to.be.below(6_000);
        expect(stayedMs).to.be.below(1000);
      } finally {
        process.kill(frozen.pid, 'SIGCONT');
        await frozen.stop();
      }
    });
  }

  for (const [how, signal] of [
    ['killed', 'SIGKILL'],
    ['frozen', 'SIGSTOP'],
  ] as const) {
    for (const transport of ['pubsub', 'stream'])
      for (const inHand of [false, true])
        it(`a worker ends with exit code 0 within its 5 s: Redis ${how} with its SIGTERM (${transport}${inHand ? ', messages in hand' : ''})`, async () => {
          const gone = await startPrivateRedis();
          const client = new Redis(gone.url, { retryStrategy: () => null });
          client.on('error', () => {});
          const worker = new WorkerProcess(['--redis', gone.url, '--transport', transport], 'ignore');
          try {
            await worker.start();
            if (inHand) {
              const all = client.pipeline();
              for (let i = 0; i < 2_000; i++)
                if (transport === 'pubsub') all.publish(`ss:pageview:sid-${i}:${i}@@@60`, '/');
                else all.xadd(streamKey('', i % 16), '*', 'r1', `pageview:sid-${i}:${i}@@@60`, 'p', '/');
              await all.exec();
            }
            process.kill(gone.pid, signal);
            const startedMs = performance.now();
            expect(await worker.stop()).to.equal(0);
            expect(performance.now() - startedMs).to.be.below(8_000);
          } finally {
            client.disconnect();
            await worker.stop('SIGKILL');
            if (signal === 'SIGSTOP') process.kill(gone.pid, 'SIGCONT');
            await gone.stop();
          }
        });

    it(`an embedded worker's site closes, and its process ends: Redis ${how} with it`, async () => {
      const gone = await startPrivateRedis();
      try {
        const closing = await site('middleware', { worker: 'embedded', redis: gone.url });
        await (await fetch(closing.url)).text();
        const asked = Array.from({ length: 20 }, () => fetch(closing.url, { method: 'POST' }).catch(() => {}));
        process.kill(gone.pid, signal);
        const { closeMs, stayedMs } = await closing.close();
        expect(closeMs).to.be.below(8_000);
        expect(stayedMs).to.be.below(1_000);
        await Promise.all(asked);
      } finally {
        if (signal === 'SIGSTOP') process.kill(gone.pid, 'SIGCONT');
        await gone.stop();
      }
    });
  }

  it('the middleware closes at once, and its process ends: a Cluster that is not there', async () => {
    const closing = await site('middleware', { cluster: { host: '127.0.0.1', port: await freePort() } });
    const { closeMs, stayedMs } = await closing.close();
    expect(closeMs).to.be.below(300);
    expect(stayedMs).to.be.below(1000);
  });

  it('the store closes, and its process ends: a Cluster whose nodes are just being looked up', async () => {
    const cluster = await startCluster(1);
    const [{ host, port }] = cluster.nodes as [{ host: string; port: number }];
    const proxy = await FaultyProxy.open(port);
    const near = { host, port: Number(new URL(proxy.url).port) };
    // a look-up is a connection of its own, and begins as soon as the last one has ended
    proxy.handshakeMs = 300;
    const clusterOptions = { slotsRefreshInterval: 1, natMap: { [`${host}:${port}`]: near } };
    try {
      const closing = await site('store', { cluster: near, clusterOptions });
      expect(await fetch(closing.url, { method: 'POST' })).to.have.property('status', 200); // its session is saved
      let hasEnded = false;
      const closed = closing.close().finally(() => (hasEnded = true));
      await until('its process has ended', () => hasEnded);
      await closed;
    } finally {
      await proxy.close();
      await cluster.stop();
    }
  });
});
