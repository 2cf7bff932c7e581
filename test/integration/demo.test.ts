import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { allEnded, descendants } from '../support/processes.js';
import { RawVisitor } from '../support/requests.js';
import { until } from '../support/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGTERM');
  } catch {
    // nothing is left of it
  }
}

/** `npm start` without npm: the demo in a process of its own. */
class Demo {
  text = '';
  readonly exit: Promise<number | null>;

  constructor(readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        this.text += chunk;
      });
    this.exit = once(child, 'close').then(([code]) => code);
  }

  static start(
    env: Record<string, string> = {},
    command = [process.execPath, '--import', 'tsx', 'demo/start.ts'],
  ): Demo {
    const [file = '', ...args] = command;
    // a group of its own, as a terminal gives it one
    return new Demo(spawn(file, args, { cwd: root, env: { ...process.env, PORT: '0', ...env }, detached: true }));
  }

  async opened(): Promise<this> {
    await until('the shop is open', () => this.port > 0 || this.child.exitCode !== null);
    expect(this.child.exitCode, this.text).to.equal(null);
    return this;
  }

  get port(): number {
    return Number(/http:\/\/\S+:(\d+)/.exec(this.text)?.[1] ?? 0);
  }

  get redisPort(): number {
    return Number(/listening at \S+?:(\d+)/.exec(this.text)?.[1]);
  }

  get visitor(): RawVisitor {
    return new RawVisitor({ url: `http://127.0.0.1:${this.port}` });
  }

  async stop(): Promise<void> {
    const { exitCode, signalCode, pid } = this.child;
    if (exitCode === null && signalCode === null) this.child.kill('SIGTERM');
    // what a killed one has left behind, where a test has failed
    else endGroup(pid as number);
    await this.exit;
  }
}

describe('the demo', () => {
  let demo: Demo;
  const open: { stop(): Promise<unknown> }[] = [];

  /** what is stopped after the test, whatever comes of it */
  const kept = <T extends { stop(): Promise<unknown> }>(one: T): T => {
    open.unshift(one);
    return one;
  };

  before(async () => {
    demo = await Demo.start().opened();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.stop();
  });
  after(() => demo?.stop());

  it('is reached from this machine alone, unless HOST opens it', async () => {
    const network = Object.values(networkInterfaces()).flat();
    // without a network: Linux answers on all of 127.0.0.0/8
    const outside = network.find((one) => one?.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.2';
    const reached = (port: number) =>
      fetch(`http://${outside}:${port}/shop.css`).then(
        ({ status }) => status,
        () => 'refused',
      );
    expect(await reached(demo.port)).to.equal('refused');
    const opened = await kept(Demo.start({ HOST: '0.0.0.0', HOSTS: outside })).opened();
    expect(await reached(opened.port)).to.equal(200);
  });

  it('knows its own names only: a page whose name was pointed at this machine reads nothing', async () => {
    for (const host of [
      'evil.example',
      `evil.example:${demo.port}`,
      '127.0.0.1.evil.example',
      'evil@localhost',
      'localhost/evil',
    ])
      for (const path of ['/', '/shop.css', '/raw-session-analytics'])
        expect(await demo.visitor.send(path, { headers: { host } }), `${host} ${path}`).to.have.property('status', 403);
    for (const host of ['localhost', 'LOCALHOST:1', `127.0.0.1:${demo.port}`, '[::1]:3379'])
      expect(await demo.visitor.send('/', { headers: { host } }), host).to.have.property('status', 200);
  });

  it('takes a form from its own pages alone', async () => {
    const own = `http://127.0.0.1:${demo.port}`;
    const forms = [
      '/mode',
      '/cart',
      '/cart/remove',
      '/purchase',
      '/notifications/spring-sale/seen',
      '/login',
      '/logout',
      '/about-you/forget',
    ];
    const others = ['http://evil.example', 'null', `http://127.0.0.1:${demo.port + 1}`, 'http://127.0.0.1', ''].map(
      (origin) => ({ origin }),
    );
    for (const path of forms)
      for (const headers of [
        {},
        ...others,
        { origin: own, 'sec-fetch-site': 'cross-site' },
        { origin: own, 'sec-fetch-site': 'same-site' },
      ])
        expect(
          await demo.visitor.send(path, { method: 'POST', headers }),
          `${path} ${JSON.stringify(headers)}`,
        ).to.have.property('status', 403);
    const { visitor } = demo;
    expect((await visitor.send('/')).body).to.contain('The worker answered');
    const sent = { method: 'POST', headers: { origin: own, 'sec-fetch-site': 'same-origin' } };
    expect(await visitor.send('/notifications/spring-sale/seen', sent)).to.have.property('status', 303);
  });

  it('leads back to its own pages alone after a form', async () => {
    const origin = `http://127.0.0.1:${demo.port}`;
    const headers = { origin, 'content-type': 'application/x-www-form-urlencoded' };
    for (const back of [
      '//evil.example/',
      '/..//evil.example/',
      '/%2e//evil.example/',
      '/\\evil.example/',
      'http://evil.example/',
    ]) {
      const body = `answer=yes&back=${encodeURIComponent(back)}`;
      const { status, headers: answered } = await demo.visitor.send('/consent', { method: 'POST', headers, body });
      expect(status).to.equal(303);
      expect(new URL(String(answered.location), origin).origin, back).to.equal(origin);
    }
  });

  it('says with every answer what a browser may do with it', async () => {
    const { visitor } = demo;
    for (const path of ['/', '/shop.css', '/nowhere', '/%zz', '/added/tv']) {
      const { headers } = await visitor.send(path);
      expect(headers, path).to.include({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin' });
      expect(headers['content-security-policy'], path)
        .to.contain("form-action 'self'")
        .and.to.contain("frame-ancestors 'none'")
        .and.to.contain("default-src 'none'");
      expect(headers).to.not.have.property('x-powered-by');
    }
    const cookie = (await demo.visitor.send('/')).headers['set-cookie']?.[0];
    expect(cookie)
      .to.match(/; HttpOnly/)
      .and.to.match(/; SameSite=Lax/);
  });

  it('shows nobody a stack or a path of this machine', async () => {
    const own = { origin: `http://127.0.0.1:${demo.port}`, 'content-type': 'application/x-www-form-urlencoded' };
    const answers = [
      await demo.visitor.send('/%zz'),
      await demo.visitor.send('/added/%'),
      await demo.visitor.send('/cart', { method: 'POST', headers: own, body: 'a='.padEnd(200_000, 'a') }),
      await demo.visitor.send('/cart', {
        method: 'POST',
        headers: { ...own, 'content-encoding': 'br' },
        body: 'a',
      }),
      await demo.visitor.send('/cart', {
        method: 'POST',
        headers: { ...own, 'content-type': `${own['content-type']}; charset=x` },
        body: 'a',
      }),
    ];
    expect(answers.map(({ status }) => status)).to.deep.equal([404, 400, 413, 400, 415]);
    for (const { body } of answers)
      expect(body.replaceAll(/"\/notifications\/live(\.js)?"/g, '')).to.not.match(
        /\bat \S+ \(|node_modules|\/[a-z]+\/|\.[jt]s\b/,
      );
  });

  it('has a Redis that asks for a password, and administers nothing', async () => {
    const stranger = new Redis({
      port: demo.redisPort,
      lazyConnect: true,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
    });
    stranger.on('error', () => {});
    expect(await stranger.get('x').catch((error: Error) => error.message)).to.contain('NOAUTH');
    stranger.disconnect();
    const redis = kept(await startPrivateRedis({ password: 'of-this-test' }));
    const owner = new Redis(redis.url);
    expect(await owner.set('x', '1')).to.equal('OK');
    for (const [command, ...args] of [
      ['CONFIG', 'SET', 'dir', '/'],
      ['SAVE'],
      ['REPLICAOF', '127.0.0.1', '1'],
      ['ACL', 'LIST'],
      ['SHUTDOWN'],
    ])
      expect(await owner.call(command as string, ...args).catch((error: Error) => error.message), command).to.match(
        /^NOPERM/,
      );
    owner.disconnect();
  });

  it('shows no secret in the arguments of its processes', async () => {
    const redis = kept(await startPrivateRedis({ password: 'a-neighbour-would-like-this' }));
    const other = await kept(Demo.start({ REDIS_URL: redis.url, SESSION_SECRET: 'and-this-even-more' })).opened();
    const shown = [...descendants(other.child.pid as number), ...descendants(process.pid)].map(({ args }) => args);
    expect(shown.filter((args) => args.includes('intelligent-session'))).to.have.lengthOf.at.least(1);
    for (const args of shown) expect(args).to.not.match(/neighbour-would|even-more|redis:\/\/\S*@/);
    expect(other.text).to.not.match(/neighbour-would|even-more/);
  });

  it('at a port that is taken says so in one line, exits with 1, and has started nothing', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    kept({ stop: async () => taken.close() });
    const late = kept(Demo.start({ PORT: String(port) }));
    expect(await late.exit).to.equal(1);
    expect(late.text.trim().split('\n')).to.have.lengthOf(1);
    expect(late.text).to.contain(`Port ${port} is taken`);
  });

  it('at Ctrl-C, which every process of its terminal hears, ends in silence and leaves nothing running', async () => {
    const other = await kept(Demo.start()).opened();
    const processes = descendants(other.child.pid as number);
    expect(processes.map(({ args }) => args).join())
      .to.contain('worker')
      .and.to.contain('redis-server');
    const { text } = other;
    process.kill(-(other.child.pid as number), 'SIGINT');
    expect(await other.exit).to.equal(0);
    expect(other.text).to.equal(text);
    await allEnded(processes);
  });

  for (const [how, command] of [
    ['it', undefined],
    ['the npm that started it', ['npm', 'start']],
  ] as const)
    it(`leaves nothing running where ${how} is killed`, async () => {
      const other = await kept(Demo.start({}, command && [...command])).opened();
      const processes = descendants(other.child.pid as number);
      expect(processes.map(({ args }) => args).join())
        .to.contain('worker')
        .and.to.contain('redis-server');
      other.child.kill('SIGKILL');
      await allEnded(processes);
    });
});
