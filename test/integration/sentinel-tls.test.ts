import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, RedisSessionStore } from '../../lib/index.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { type Certificate, makeCertificate } from '../support/certificate.js';
import { startDistance } from '../support/delay.js';
import { freePort } from '../support/free-port.js';
import { startSentinel } from '../support/sentinel.js';
import { until } from '../support/until.js';

const PASSWORD = 'only-over-tls';
const session = { cookie: { originalMaxAge: null }, secret: 'in-a-session' } as unknown as SessionData;

/** A Redis without TLS, with a password, behind a listener that keeps what it was sent. */
async function plainRedis(): Promise<{ port: number; heard(): string; stop(): Promise<void> }> {
  const behind = await startPrivateRedis({ args: ['--requirepass', PASSWORD] });
  const heard: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(behind.port, '127.0.0.1');
    near.on('data', (bytes) => heard.push(bytes));
    near.on('error', () => far.destroy()).pipe(far);
    far.on('error', () => near.destroy()).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => Buffer.concat(heard).toString('latin1'),
    stop: async () => {
      server.close();
      await behind.stop();
    },
  };
}

/** The error of a worker's start, or 'it started'. */
const startOf = (redis: RedisOptions): Promise<unknown> =>
  createWorker({ redis }).then(
    (worker) => worker.close().then(() => 'it started'),
    (error: unknown) => error,
  );

describe('TLS with Sentinels', () => {
  let certificate: Certificate;
  let redis: PrivateRedis;
  let tlsPort: number;
  let sentinel: { port: number; stop(): Promise<void> };
  let options: RedisOptions;
  const tlsArgs = () => certificate.directives.flatMap(([name, value]) => [`--${name}`, value]);

  before(async () => {
    certificate = makeCertificate();
    tlsPort = await freePort();
    redis = await startPrivateRedis({
      args: ['--tls-port', String(tlsPort), ...tlsArgs(), '--requirepass', PASSWORD],
    });
    const settings = [`auth-pass main ${PASSWORD}`];
    sentinel = await startSentinel(tlsPort, { certificate, watchesByTls: true, settings });
    options = { sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'main', password: PASSWORD };
  });
  after(async () => {
    await sentinel?.stop();
    await redis?.stop();
    certificate?.remove();
  });

  it('option `tls` alone: the store, its watch over failovers and a worker speak TLS with Sentinel and master', async () => {
    const over = { ...options, tls: { ca: certificate.ca } };
    const asker = new Redis(sentinel.port, { tls: { ca: certificate.ca } });
    const store = new RedisSessionStore({ redis: over });
    try {
      await store.set('a', session);
      expect(await store.get('a')).to.include({ secret: 'in-a-session' });
      // the Sentinel has no other port than that of TLS
      await until('the watch has subscribed', async () =>
        String(await asker.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).includes('sub=1'),
      );
      expect(await startOf(over)).to.equal('it started');
    } finally {
      await store.close();
      asker.disconnect();
    }
  });

  for (const { transport, replies } of [
    { transport: 'pubsub', replies: 'list' },
    { transport: 'stream', replies: 'inbox' },
  ] as const)
    it(`no connection is without TLS, in any role (${transport}, ${replies})`, async () => {
      const over = { ...options, tls: { ca: certificate.ca } };
      const store = new RedisSessionStore({ redis: over, nearCache: {}, expiredEvents: true });
      const worker = await createWorker({ redis: over, transport });
      const serving = new RemoteExecutor(over, { transport, replies });
      const owner = new Redis(redis.port, { password: PASSWORD });
      try {
        await store.set('b', session);
        expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 5000 })).to.have.property(
          'answered',
          true,
        );
        const lines = String(await owner.client('LIST')).split('\n');
        // the Sentinel has two of its own
        expect(lines.filter((line) => line.includes(` laddr=127.0.0.1:${tlsPort} `)).length).to.be.above(7);
        const clear = lines.filter((line) => line.includes(` laddr=127.0.0.1:${redis.port} `));
        // the owner's own
        expect(clear.map((line) => / cmd=(\S+)/.exec(line)?.[1])).to.deep.equal(['client|list']);
      } finally {
        owner.disconnect();
        await serving.close();
        await worker.close();
        await store.close();
      }
    });

  it('Sentinels that are far away, to which a connection alone takes three quarters of a second, name the master', async () => {
    const far = await startDistance(sentinel.port, 180);
    const sentinels = [{ host: '127.0.0.1', port: Number(new URL(far.url).port) }];
    const store = new RedisSessionStore({ redis: { ...options, sentinels, tls: { ca: certificate.ca } } });
    try {
      await until('the store is connected', () => store.client.status === 'ready');
    } finally {
      await store.close();
      await far.stop();
    }
  });

  it('rediss:// with --sentinel: the bin too', async () => {
    const url = `rediss://:${PASSWORD}@127.0.0.1:${sentinel.port}`;
    const worker = new WorkerProcess(['--sentinel', 'main'], 'inherit', {
      REDIS_URL: url,
      NODE_EXTRA_CA_CERTS: certificate.file,
    });
    await worker.start();
    expect(worker.banner).to.contain('sentinel main').and.not.to.contain(PASSWORD);
    expect(await worker.stop()).to.equal(0);
  });

  const given: readonly { name: string; extra(ca: Buffer): RedisOptions }[] = [
    { name: 'tls', extra: (ca) => ({ tls: { ca } }) },
    { name: 'tls and sentinelTLS', extra: (ca) => ({ tls: { ca }, sentinelTLS: { ca } }) },
    {
      name: 'enableTLSForSentinelMode and sentinelTLS',
      extra: (ca) => ({ enableTLSForSentinelMode: true, sentinelTLS: { ca } }),
    },
  ];
  for (const { name, extra } of given)
    it(`${name}: a master without TLS is refused with a coded error, and hears no password`, async () => {
      const master = await plainRedis();
      const named = await startSentinel(master.port, { certificate });
      const over = { ...options, ...extra(certificate.ca), sentinels: [{ host: '127.0.0.1', port: named.port }] };
      const store = new RedisSessionStore({ redis: over, maxWaitMs: 1000 });
      try {
        const [fault] = await Promise.race([once(store, 'fault'), once(store, 'connect')]);
        const ended = await startOf(over);
        expect(master.heard(), 'what the master heard').to.not.contain(PASSWORD);
        expect(master.heard(), 'TLS was tried').to.contain('\x16\x03');
        expect(fault).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
        expect(fault.message).to.contain('does not speak TLS');
        expect(ended).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      } finally {
        await store.close({ timeout: 0 });
        await named.stop();
        await master.stop();
      }
    });

  it('rediss:// with --sentinel: a Sentinel and a master without TLS are refused, and hear no password', async () => {
    const master = await plainRedis();
    const named = await startSentinel(master.port);
    const worker = new WorkerProcess(['--sentinel', 'main'], 'ignore', {
      REDIS_URL: `rediss://:${PASSWORD}@127.0.0.1:${named.port}`,
    });
    try {
      const ended = await worker.start().then(
        () => worker.stop().then(() => 'it started'),
        (error: Error) => error.message,
      );
      expect(master.heard(), 'what the master heard').to.not.contain(PASSWORD);
      expect(ended).to.contain('exit code 1');
    } finally {
      await named.stop();
      await master.stop();
    }
  });

  it('a Sentinel without TLS is refused, and hears no password of its own', async () => {
    const plain = await plainRedis();
    const sentinels = [{ host: '127.0.0.1', port: plain.port }];
    const over = { ...options, sentinels, sentinelPassword: 'the-sentinels', tls: { ca: certificate.ca } };
    const store = new RedisSessionStore({ redis: over, maxWaitMs: 1000 });
    try {
      const [fault] = await once(store, 'fault');
      expect(plain.heard(), 'what it heard').to.not.contain('the-sentinels');
      expect(plain.heard(), 'TLS was tried').to.contain('\x16\x03');
      expect(fault).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
    } finally {
      await store.close({ timeout: 0 });
      await plain.stop();
    }
  });

  it('a Cluster whose first node is given with TLS: every node that it names is spoken to by TLS', async () => {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
    const clustered = ['--cluster-enabled', 'yes', '--dir', folder, '--tls-port', String(port), '--tls-cluster', 'yes'];
    const named = ['--bind', '127.0.0.1', '127.0.0.2', '--cluster-announce-ip', '127.0.0.2'];
    const node = await startPrivateRedis({ args: [...clustered, ...named, ...tlsArgs()] });
    const owner = new Redis(node.port);
    await owner.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    await until('it serves all slots', async () =>
      String(await owner.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
    owner.disconnect();
    const start = new Cluster([{ host: '127.0.0.1', port, tls: { ca: certificate.ca } } as object], {
      lazyConnect: true,
    });
    const client = openTarget(start).client as Cluster;
    try {
      await Promise.race([once(client, 'ready'), once(client, 'error').then(([error]) => Promise.reject(error))]);
      expect(await client.set('a', 'b')).to.equal('OK');
      expect(client.nodes('all').map(({ options }) => options.host)).to.deep.equal(['127.0.0.2']);
      for (const known of client.nodes('all')) expect(known.options.tls, known.options.host).to.not.equal(undefined);
    } finally {
      client.disconnect();
      await node.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
