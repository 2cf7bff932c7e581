import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker } from '../../lib/index.js';
import type { LocalExecutor } from '../../lib/serving/local-executor.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { freePort } from '../support/free-port.js';
import { localExecutor } from '../support/local-executor.js';
import { Uncaught } from '../support/uncaught.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

let redis: PrivateRedis;
let client: Redis;

describe('a listener of `sessions.serving` that throws', () => {
  const opened = useRedis((started) => ({ redis, client } = started));
  let uncaught: Uncaught;
  beforeEach(() => {
    uncaught = new Uncaught();
  });
  afterEach(() => uncaught.close());
  const times = { ttlSeconds: 60, timeoutMs: 10_000 };
  const listenersOwn = new Error('the listener’s own');
  const thrower = () => {
    throw listenersOwn;
  };
  const throwers = (serving: RemoteExecutor | LocalExecutor) => {
    for (const event of ['degraded', 'fault', 'away', 'back', 'circuit'] as const) serving.on(event, thrower);
  };
  const allOwn = () => uncaught.errors.length > 0 && uncaught.errors.every((error) => error === listenersOwn);

  it('takes no answer from others, and leaves the connection on which answers come', async () => {
    const failing = { broken: () => Promise.reject(new Error('no stock')), echo: () => 'fine' };
    const worker = await createWorker({ redis: redis.url, commands: failing, log: { info() {}, warn() {} } });
    opened.push(() => worker.close());
    const serving = new RemoteExecutor(redis.url);
    opened.push(() => serving.close());
    throwers(serving);
    const inboxes = async () => /^id=\d+(?=.*cmd=blmpop)/m.exec(String(await client.client('LIST')))?.[0];
    await until('it waits', async () => (await inboxes()) !== undefined);
    const before = await inboxes();
    const names = Array.from({ length: 40 }, (_, i) => (i % 4 === 1 ? 'broken' : 'echo'));
    const answers = await Promise.all(names.map((name, i) => serving.ask(name, `sid-${i}`, '', times)));
    expect(answers.map((answer) => (answer.answered ? 'echo' : answer.reason))).to.deep.equal(
      names.map((name) => (name === 'echo' ? name : 'failed')),
    );
    expect(await inboxes()).to.equal(before);
    expect(uncaught.errors.filter((error) => error === listenersOwn).length).to.be.at.least(10);
    expect(allOwn()).to.equal(true);
  });

  for (const way of ['a worker', 'a process of its own'] as const)
    it(`takes no answer from those who wait for Redis, either, and close() ends, by ${way}`, async () => {
      const url = `redis://127.0.0.1:${await freePort()}`;
      const serving =
        way === 'a worker' ? new RemoteExecutor(url, { maxWaitMs: 200 }) : localExecutor(url, { maxWaitMs: 200 });
      opened.push(() => serving.close({ timeout: 0 }));
      throwers(serving);
      const asks = ['one', 'two', 'three'].map((sid) => serving.ask('pageview', sid, '/a', times));
      for (const sid of ['one', 'two', 'three']) serving.send('pageview', sid, '/b', times);
      for (const answer of await Promise.all(asks)) expect(answer).to.include({ reason: 'redis' });
      await until('what was held is given up', async () =>
        (await serving.metrics.metrics()).includes('{command="pageview",result="redis"} 9'),
      );
      await serving.close();
      expect(allOwn()).to.equal(true);
    });
});

describe('a listener of `sessions.serving` that sends', () => {
  const opened = useRedis((started) => ({ redis, client } = started));

  it('sends behind what was held before, while that is being sent', async () => {
    const heard: string[] = [];
    const listening = client.duplicate();
    opened.push(() => listening.disconnect());
    await listening.psubscribe('ss:note:*');
    listening.on('pmessage', (_pattern, _channel, payload) => heard.push(payload));
    const serving = new RemoteExecutor(redis.url, { itemSecret: 'a secret of some length' });
    opened.push(() => serving.close());
    serving.once('degraded', () => serving.send('note', 'sid', 'by the listener', { ttlSeconds: 60 }));
    // Once its pages are keyed, this list is too long, which is found out when there is a connection.
    const pages = Array.from({ length: 20_000 }, (_, i) => `/${i}`);
    serving.send('featuredpages', 'sid', pages, { ttlSeconds: 60 });
    for (const payload of ['first', 'second']) serving.send('note', 'sid', payload, { ttlSeconds: 60 });
    await until('all are heard', () => heard.length === 3);
    expect(heard).to.deep.equal(['first', 'second', 'by the listener']);
  });
});
