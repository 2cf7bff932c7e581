import { expect } from 'chai';
import express from 'express';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  type WorkerOptions,
} from '../../lib/index.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { Warnings } from '../support/warnings.js';

describe('requests that nobody answers, on the console', () => {
  let redis: PrivateRedis;
  let warnings: Warnings;
  const open = useRedis((started) => ({ redis } = started));
  beforeEach(() => {
    warnings = new Warnings();
  });
  afterEach(() => warnings.close());

  const siteOf = async (options: IntelligentSessionOptions = {}) => {
    const sessions = intelligentSession({ secret: 'x', redis: redis.url, ...options });
    open.push(() => sessions.close());
    const app = express().use(sessions);
    app.get('/ask/:command', async (req, res) => {
      const answer = await req.intelligence.ask(req.params.command);
      res.json({ answer: answer ?? null });
    });
    app.get('/combo/:name', async (req, res) => {
      res.json({ combo: (await req.intelligence.combo(req.params.name)) ?? null });
    });
    app.get('/asks', async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
    app.get('/quiet', (_req, res) => void res.json({}));
    const site = await Site.open(app);
    open.push(() => site.close());
    return { sessions, visitor: new Visitor(site.url) };
  };
  const workerOf = async (options: WorkerOptions = {}) => {
    const worker = await createWorker({ redis: redis.url, ...options });
    open.push(() => worker.close());
    return worker;
  };

  for (const transport of ['pubsub', 'stream'] as const)
    for (const [page, how] of [
      ['/asks', 'asks'],
      ['/quiet', 'asks nothing'],
    ] as const)
      it(`no worker: one line names the namespace and how to start one (${transport}, a page that ${how})`, async () => {
        const namespace = `nobody-${transport}${page.slice(1)}:`;
        const { visitor } = await siteOf({ namespace, transport });
        for (let i = 0; i < 3; i++) await visitor.json(page);
        await until('it is told', () => warnings.of('NO_WORKER').length > 0);
        const [line] = warnings.of('NO_WORKER');
        expect(line).to.contain(`No worker listens to the namespace "${namespace}" at 127.0.0.1:${redis.port}`);
        const more = transport === 'stream' ? ' --transport stream --partitions 16' : '';
        expect(line).to.contain(
          `npx intelligent-session worker --redis ${redis.url} --namespace ${namespace}${more} (see docs/errors.md`,
        );
        for (let i = 0; i < 3; i++) await visitor.json(page);
        expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_NO_WORKER']);
      });

  it('a worker of another namespace: the line names the one that nobody listens to', async () => {
    const said: string[] = [];
    await workerOf({ namespace: 'shop:', log: { info: (line) => said.push(line), warn: (line) => said.push(line) } });
    const { visitor } = await siteOf({ namespace: 'stop:' });
    await visitor.json('/asks');
    await until('it is told', () => warnings.of('NO_WORKER').length > 0);
    expect(warnings.of('NO_WORKER')[0]).to.contain('"stop:"');
    expect(said[0], "the worker's banner says its own").to.contain('namespace "shop:"');
  });

  it('the line has the database, and no password', async () => {
    const secret = await startPrivateRedis({ args: ['--requirepass', 'letmein'] });
    open.push(() => secret.stop());
    const { visitor } = await siteOf({ redis: `${secret.url.replace('//', '//:letmein@')}/3` });
    await visitor.json('/asks');
    await until('it is told', () => warnings.of('NO_WORKER').length > 0);
    expect(warnings.of('NO_WORKER')[0])
      .to.contain(`--redis redis://…@127.0.0.1:${secret.port}/3`)
      .and.not.contain('letmein');
  });

  it('a worker that listens, or runs in the process, is no line', async () => {
    await workerOf({ namespace: 'there:' });
    for (const options of [{ namespace: 'there:' }, { namespace: 'own:', worker: 'embedded' }] as const) {
      const { visitor } = await siteOf(options);
      expect(await visitor.json('/asks')).to.include({ totalPages: 1 });
      await visitor.json('/quiet');
    }
    expect(warnings.codes).to.deep.equal([]);
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`a command that no worker has is told once, by its name (${transport})`, async () => {
      const namespace = `commands-${transport}:`;
      await workerOf({ namespace, transport, log: { info() {}, warn() {} } });
      const { visitor } = await siteOf({ namespace, transport });
      for (let i = 0; i < 3; i++) expect(await visitor.json('/ask/no-such-command')).to.deep.equal({ answer: null });
      const code = transport === 'pubsub' ? 'UNKNOWN_COMMAND' : 'FAULT';
      await until('it is told', () => warnings.of(code).length > 0);
      expect(warnings.of(code)[0]).to.match(/(has the|is no) command "no-such-command"/);
      expect(warnings.codes).to.have.length(1);
    });

  it('a combo that nobody knows is told once, by its name', async () => {
    await workerOf({ namespace: 'combos:', log: { info() {}, warn() {} } });
    const { visitor } = await siteOf({ namespace: 'combos:', combos: [{ name: 'tv', pages: ['/tv'] }] });
    for (let i = 0; i < 3; i++) expect(await visitor.json('/combo/nope')).to.deep.equal({ combo: null });
    expect(await visitor.json('/combo/tv')).to.deep.equal({ combo: false });
    await until('it is told', () => warnings.of('FAULT').length > 0);
    expect(warnings.of('FAULT')[0]).to.match(/combo\("nope"\): neither the option "combos" nor the worker/);
    expect(warnings.codes).to.have.length(1);
  });

  it("an application's command that throws is told by its name, on both sides, and without what it threw", async () => {
    const failing = () => {
      throw new TypeError('card 4111 1111 1111 1111');
    };
    await workerOf({ namespace: 'own:', commands: { checkout: failing } });
    const { sessions, visitor } = await siteOf({ namespace: 'own:' });
    const faults: string[] = [];
    await visitor.json('/ask/checkout');
    await until('it is told', () => warnings.codes.length > 1);
    sessions.serving.on('fault', ({ message }) => faults.push(message));
    await visitor.json('/ask/checkout');
    expect(faults[0]).to.match(/^The application's command "checkout" failed in the worker/);
    expect(faults[0]).to.contain('ERR_INTELLIGENT_SESSION_COMMAND').and.not.contain('Redis:');
    expect(warnings.of('COMMAND_FAILED')).to.have.length(1);
    expect(warnings.of('COMMAND_FAILED')[0]).to.match(/command "checkout" threw an error \(TypeError\)/);
    expect(warnings.of('FAULT').join()).to.match(/^The application's command "checkout" failed/);
    expect([...warnings.of('FAULT'), ...warnings.of('COMMAND_FAILED')].join()).to.not.contain('4111');
  });

  it('an embedded site tells the same: a command that throws, one that is not there, a combo', async () => {
    const failing = () => {
      throw new TypeError('card 4111 1111 1111 1111');
    };
    const { visitor } = await siteOf({ namespace: 'here:', worker: 'embedded', commands: { checkout: failing } });
    for (const page of ['/ask/checkout', '/ask/no-such-command', '/combo/nope'])
      for (let i = 0; i < 2; i++) await visitor.json(page);
    await until('all is told', () => warnings.codes.length > 2);
    expect(warnings.of('COMMAND_FAILED').join()).to.match(/command "checkout" threw an error \(TypeError\)/);
    expect(warnings.of('FAULT').join())
      .to.match(/There is no command "no-such-command".*combo\("nope"\)/s)
      .and.not.contain('4111');
    expect(warnings.codes).to.have.length(3);
  });

  it('a worker that does not answer is told after some time-outs, and so is a slow command', async () => {
    const never = () => new Promise(() => {});
    await workerOf({ namespace: 'slow:', commands: { report: never } });
    const { visitor } = await siteOf({ namespace: 'slow:', timeout: 5 });
    for (let i = 0; i < 6; i++) await visitor.json('/ask/report');
    await until('it is told', () => warnings.of('NO_ANSWER').length > 0);
    expect(warnings.of('NO_ANSWER')[0]).to.match(/No answer of the application's command "report" in time/);
    expect(warnings.of('NO_ANSWER')).to.have.length(1);
  });

  describe('in a Cluster', () => {
    let cluster: PrivateCluster;
    before(async function () {
      this.timeout(60_000);
      cluster = await startCluster(3);
    });
    after(async () => {
      await cluster.stop();
    });

    it('no worker is told after the first time-outs', async () => {
      const { Cluster } = await import('ioredis');
      const client = new Cluster([...cluster.nodes], { lazyConnect: true });
      const { visitor } = await siteOf({ redis: client, timeout: 5, namespace: 'nobody:' });
      for (let i = 0; i < 6; i++) await visitor.json('/asks');
      await until('it is told', () => warnings.of('NO_ANSWER').length > 0);
      expect(warnings.of('NO_ANSWER')[0])
        .to.contain('one session')
        .and.to.contain('namespace "nobody:" at a cluster')
        .and.to.contain('npx intelligent-session worker --redis <URL of a node> --cluster --namespace nobody:');
      expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_NO_ANSWER']);
    });
  });
});
