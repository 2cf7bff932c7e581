import { expect } from 'chai';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createWorker, intelligentSession } from '../../lib/index.js';
import { ServingLayer } from '../../lib/serving/serving-layer.js';
import { pageNames } from '../../middleware/page-name.js';

describe('bounds of what careless code and a visitor can leave behind', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open: (() => Promise<unknown>)[] = [];
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });

  it('256 own commands that never end do not keep their places: the next are worked on, and the hung are counted', async () => {
    const worker = await createWorker({
      redis: redis.url,
      commandTimeoutMs: 200,
      commands: { hang: () => new Promise(() => {}), quick: () => 'here' },
    });
    const serving = new ServingLayer(redis.url);
    open.push(
      () => worker.close({ timeout: 0 }),
      () => serving.close(),
    );
    const hung = Array.from({ length: 256 }, (_, i) => serving.ask('hang', `s${i}`, '', 60, 10_000));
    expect(await serving.ask('quick', 'visitor', '', 60, 10_000)).to.deep.equal({ answered: true, data: 'here' });
    for (const answer of await Promise.all(hung)) expect(answer).to.deep.equal({ answered: false });
    expect(await worker.metrics.metrics()).to.contain('messages_total{command="hang",result="timeout"} 256');
  });

  it('256 hung own commands of an embedded worker do not keep their places either, and names stay 100', async () => {
    const sessions = intelligentSession({
      redis: redis.url,
      secret: 's',
      worker: 'embedded',
      namespace: 'embedded:',
      commandTimeoutMs: 200,
      commands: { hang: () => new Promise(() => {}), quick: () => 'here' },
    });
    open.push(() => sessions.close({ timeout: 0 }));
    const { serving } = sessions;
    const hung = Array.from({ length: 256 }, (_, i) => serving.ask('hang', `s${i}`, '', 60, 10_000));
    expect(await serving.ask('quick', 'visitor', '', 60, 10_000)).to.deep.equal({ answered: true, data: 'here' });
    for (const answer of await Promise.all(hung)) expect(answer).to.deep.equal({ answered: false });
    for (let i = 0; i < 300; i++) await serving.ask(`name-${i}`, 'visitor', '', 60, 1_000);
    const text = await serving.metrics.metrics();
    expect(text).to.match(/command="hang",result="\w+"\} 256/);
    const names = new Set(text.match(/command="(?!other)[^"]*"/g));
    expect(names.size).to.be.within(1, 110);
    expect(text).to.match(/command="other"[^\n]* [1-9]/);
  });

  it('command names that a visitor chose are "other" in the metrics after the first hundred', async () => {
    const serving = new ServingLayer(redis.url, { namespace: 'names:' });
    open.push(() => serving.close());
    for (let i = 0; i < 300; i++) await serving.ask(`name-${i}`, 'visitor', '', 60, 1000);
    await serving.ask('pageview', 'visitor', '/', 60, 1000);
    const text = await serving.metrics.metrics();
    expect(text.match(/command="name-/g)).to.have.lengthOf(100);
    expect(text).to.contain('requests_total{command="other",result="no-worker"} 200');
    expect(text).to.contain('requests_total{command="pageview",result="no-worker"} 1');
  });

  it('a stream that nobody reads is bounded by bytes: what comes over it is refused', async () => {
    const maxBacklogBytes = 1024 * 1024;
    const serving = new ServingLayer(redis.url, {
      namespace: 'backlog:',
      transport: 'stream',
      partitions: 1,
      maxBacklogBytes,
    });
    open.push(() => serving.close());
    let shed = 0;
    serving.on('degraded', (_, reason) => {
      if (reason === 'shed') shed++;
    });
    for (let i = 0; i < 20; i++)
      await Promise.all(
        Array.from({ length: 10 }, (_, j) => serving.ask('pageview', `s${j}`, `/${i}${'x'.repeat(15_000)}`, 60, 1000)),
      );
    expect(await client.memory('USAGE', 'backlog:ss:stream:{0}')).to.be.within(
      maxBacklogBytes / 2,
      maxBacklogBytes * 1.2,
    );
    expect(shed).to.be.above(100);
    expect(await client.ttl('backlog:ss:stream:{0}')).to.be.within(86_000, 86_400);
  });

  it('a page’s name has at most 1,024 bytes, and another name for another page', () => {
    const name = pageNames();
    const long = (end: string) => name(`/${'é'.repeat(8000)}${end}`);
    expect(Buffer.byteLength(long('a'))).to.be.within(1000, 1024);
    expect(long('a')).to.equal(long('a')).and.not.to.equal(long('b'));
    expect(name(long('a')), 'a name stays as it is').to.equal(long('a'));
    expect(Buffer.byteLength(name(`x${'é'.repeat(8000)}`)), 'a name of the application’s own').to.be.at.most(1024);
    expect(name(`/${'x'.repeat(1023)}`)).to.equal(`/${'x'.repeat(1023)}`);
  });
});
