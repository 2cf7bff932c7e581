import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import type { SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createBloomFilter } from '../../lib/bloom-choice/index.js';
import { OptionError } from '../../lib/errors/errors.js';
import { createWorker, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { checkTexts } from '../../lib/options/check-arguments.js';
import { keyItems } from '../../lib/serving/keyed-items.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { pageNames } from '../../middleware/page-name.js';
import { RequestIntelligence } from '../../middleware/request-intelligence.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('bounds of what careless code and a visitor can leave behind', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));

  it('256 own commands that never end do not keep their places: the next are worked on, and the hung are counted', async () => {
    const worker = await createWorker({
      redis: redis.url,
      commandTimeoutMs: 200,
      commands: { hang: () => new Promise(() => {}), quick: () => 'here' },
    });
    const serving = new RemoteExecutor(redis.url);
    open.push(
      () => worker.close({ timeout: 0 }),
      () => serving.close(),
    );
    const hung = Array.from({ length: 256 }, (_, i) =>
      serving.ask('hang', `s${i}`, '', { ttlSeconds: 60, timeoutMs: 10_000 }),
    );
    expect(await serving.ask('quick', 'visitor', '', { ttlSeconds: 60, timeoutMs: 10_000 })).to.deep.equal({
      answered: true,
      data: 'here',
    });
    for (const answer of await Promise.all(hung)) expect(answer).to.include({ answered: false });
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
    const hung = Array.from({ length: 256 }, (_, i) =>
      serving.ask('hang', `s${i}`, '', { ttlSeconds: 60, timeoutMs: 10_000 }),
    );
    expect(await serving.ask('quick', 'visitor', '', { ttlSeconds: 60, timeoutMs: 10_000 })).to.deep.equal({
      answered: true,
      data: 'here',
    });
    for (const answer of await Promise.all(hung)) expect(answer).to.include({ answered: false });
    for (let i = 0; i < 300; i++) await serving.ask(`name-${i}`, 'visitor', '', { ttlSeconds: 60, timeoutMs: 1_000 });
    const text = await serving.metrics.metrics();
    expect(text).to.match(/command="hang",result="\w+"\} 256/);
    const names = new Set(text.match(/command="(?!other)[^"]*"/g));
    expect(names.size).to.be.within(1, 110);
    expect(text).to.match(/command="other"[^\n]* [1-9]/);
  });

  it('own commands that find their queue full are dropped, however many come at once', async () => {
    const sessions = intelligentSession({
      redis: redis.url,
      secret: 's',
      worker: 'embedded',
      namespace: 'full:',
      commands: { hang: () => new Promise(() => {}) },
    });
    open.push(() => sessions.close({ timeout: 0 }));
    const { serving } = sessions;
    await serving.ask('pageview', 'visitor', '/', { ttlSeconds: 60, timeoutMs: 10_000 }); // it is connected
    const ask = async (count: number) => {
      for (let i = 0; i < count; i++) void serving.ask('hang', `s${i}`, '', { ttlSeconds: 60, timeoutMs: 60_000 });
      await setImmediate(); // what was asked in one turn of the event loop is taken together
    };
    await ask(20_000);
    await ask(8_256);
    // 256 run, and 20,000 wait
    await until('the others are dropped', async () =>
      (await serving.metrics.metrics()).includes('messages_total{command="hang",result="full"} 8000\n'),
    );
  });

  it('own commands that are not there fail, however many come at once', async () => {
    const sessions = intelligentSession({ redis: redis.url, secret: 's', worker: 'embedded', namespace: 'unknown:' });
    open.push(() => sessions.close({ timeout: 0 }));
    const { serving } = sessions;
    await serving.ask('pageview', 'visitor', '/', { ttlSeconds: 60, timeoutMs: 10_000 }); // it is connected
    for (let i = 0; i < 20_000; i++) serving.send('unheard-of', `s${i}`, '', { ttlSeconds: 60 });
    await until('all have failed', async () =>
      (await serving.metrics.metrics()).includes('messages_total{command="unknown",result="failed"} 20000\n'),
    );
  });

  it('command names that a visitor chose are "other" in the metrics after the first hundred', async () => {
    const serving = new RemoteExecutor(redis.url, { namespace: 'names:' });
    open.push(() => serving.close());
    for (let i = 0; i < 300; i++) await serving.ask(`name-${i}`, 'visitor', '', { ttlSeconds: 60, timeoutMs: 1000 });
    await serving.ask('pageview', 'visitor', '/', { ttlSeconds: 60, timeoutMs: 1000 });
    const text = await serving.metrics.metrics();
    expect(text.match(/command="name-/g)).to.have.lengthOf(100);
    expect(text).to.contain('requests_total{command="other",result="no-worker"} 200');
    expect(text).to.contain('requests_total{command="pageview",result="no-worker"} 1');
  });

  it('answers that are fetched by lists of one request each keep no place of those that nobody fetches', async () => {
    const worker = await createWorker({
      redis: redis.url,
      namespace: 'lists:',
      commands: { large: () => 'x'.repeat(2_000_000) },
    });
    const serving = new RemoteExecutor(redis.url, { namespace: 'lists:', replies: 'list' });
    const faults: string[] = [];
    worker.on('fault', ({ message }) => faults.push(message));
    open.push(
      () => worker.close({ timeout: 0 }),
      () => serving.close(),
    );
    // 240 MB, of which few are on their way at any time
    for (let i = 0; i < 120; i++)
      expect(
        await serving.ask('large', `s${i}`, '', { ttlSeconds: 60, timeoutMs: 10_000 }),
        String(faults),
      ).to.have.property('answered', true);
    expect(faults).to.deep.equal([]);
  });

  it('a stream that nobody reads is bounded by bytes: what comes over it is refused', async () => {
    const maxBacklogBytes = 1024 * 1024;
    const serving = new RemoteExecutor(redis.url, {
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
        Array.from({ length: 10 }, (_, j) =>
          serving.ask('pageview', `s${j}`, `/${i}${'x'.repeat(15_000)}`, { ttlSeconds: 60, timeoutMs: 1000 }),
        ),
      );
    expect(await client.memory('USAGE', 'backlog:ss:stream:{0}')).to.be.within(
      maxBacklogBytes / 2,
      maxBacklogBytes * 1.2,
    );
    expect(shed).to.be.above(100);
    expect(await client.ttl('backlog:ss:stream:{0}')).to.be.within(86_000, 86_400);
  });

  it('a user of three million characters has a short key of its own, and its sessions are found and ended', async () => {
    const store = new RedisSessionStore({ redis: redis.url, prefix: 'long:', user: (of) => of.user as string });
    open.push(() => store.close());
    const users = ['x'.repeat(512), ...['a', 'b', ':'].map((end) => 'x'.repeat(3_000_000) + end)];
    const cookie = { path: '/', originalMaxAge: null };
    for (const [i, user] of users.entries()) await store.set(`s${i}`, { cookie, user } as unknown as SessionData);
    const keys = await client.keys('users:long:*');
    expect(keys).to.have.lengthOf(users.length);
    for (const key of keys) expect(key.length).to.be.at.most('users:long:'.length + 512);
    // what stands in a long user's key is another user's name to nobody
    for (const key of keys.filter((one) => one.includes('%s')))
      expect(await store.sessionsOf(key.slice('users:long:'.length))).to.deep.equal([]);
    expect(await store.destroyAllOf(users[1] as string)).to.equal(1);
    for (const [i, user] of users.entries())
      expect((await store.sessionsOf(user)).map(({ id }) => id)).to.deep.equal(i === 1 ? [] : [`s${i}`]);
  });

  it('a wrong argument of a public method is a coded error, or as none', async () => {
    const store = new RedisSessionStore({ redis: redis.url, prefix: 'wrong:', user: (of) => of.user as string });
    const sessions = intelligentSession({ redis: redis.url, secret: 'x'.repeat(32) });
    const embedded = intelligentSession({ redis: redis.url, secret: 'x'.repeat(32), worker: 'embedded' });
    open.push(...[store, sessions, embedded].map((one) => () => one.close(null as never)));
    for (const emitter of [store, sessions.store, sessions.serving, embedded.serving]) emitter.on('fault', () => {});
    const bloom = await createBloomFilter(client);
    const around = {
      serving: sessions.serving,
      timeoutMs: 1,
      combos: [],
      pageName: String,
      automaticPage: () => undefined,
    };
    const intelligence = new RequestIntelligence(
      { headers: {} } as never,
      {
        ...around,
        pageOfCall: () => '/',
        trackedSession: () => ({ subject: 'a', isAnonymous: false, ttlSeconds: 60, returning: true }),
      } as never,
      { tracked: true, stored: true } as never,
    );
    const methods: [of: object, names: string[]][] = [
      [intelligence, ['freshPages', 'notifications', 'markNotificationSeen', 'combo', 'activity', 'send', 'ask']],
      [store, ['get', 'set', 'touch', 'destroy', 'regenerate', 'sessionsOf', 'destroyAllOf', 'ttlSeconds']],
      [sessions.serving, ['send', 'ask', 'forget', 'renew']],
      [embedded.serving, ['send', 'ask', 'forget', 'renew']],
      [bloom, ['add', 'addMany', 'exists', 'existsMany', 'merge']],
    ];
    for (const [of, names] of methods)
      for (const name of names)
        for (const wrong of [undefined, null, 5n, Symbol('s'), [null], new Array(5)])
          for (const args of [[wrong], ['x', wrong], ['x', 'x', wrong]]) {
            // express-session's own regenerate() goes on to a request
            if (name === 'regenerate' && typeof args[0] !== 'undefined' && args[0] !== null) continue;
            // a callback says what came of it itself
            const act = async () => await (of as Record<string, (...all: unknown[]) => unknown>)[name]?.(...args);
            const error = await act().then(
              () => undefined,
              (thrown) => thrown,
            );
            if (error !== undefined)
              expect(error.code, `${name}(${args.map((one) => typeof one)}): ${error.message}`).to.match(
                /^ERR_INTELLIGENT_SESSION_/,
              );
          }
    expect(await intelligence.activity(null as never).catch((error) => error), 'null is as none').to.equal(undefined);
    const error = await Promise.resolve()
      .then(() => store.get('x', 5 as never))
      .catch((thrown) => thrown);
    expect(error.message).to.contain('expected a function, or none, got 5');
  });

  it('createBloomFilter() of what is no client, and load() of what is no dump, are coded errors', async () => {
    const codeOf = (work: () => Promise<unknown>) =>
      work().then(
        () => 'none',
        (error) => error.code,
      );
    for (const wrong of [() => {}, class {}, {}, { call: () => {} }, null, 'redis://127.0.0.1', [], 5])
      expect(await codeOf(() => createBloomFilter(wrong as never)), String(wrong)).to.match(
        /^ERR_INTELLIGENT_SESSION_/,
      );
    const filter = await createBloomFilter(client, 'fallback');
    for (const wrong of [
      undefined,
      null,
      5,
      'bytes',
      {},
      { bytes: 'text' },
      { bytes: Buffer.alloc(100), ttlMs: 'soon' },
    ])
      expect(await codeOf(() => filter.load('loaded', wrong as never)), String(wrong)).to.equal(
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    await filter.add('some', 'item');
    expect(await filter.load('loaded', (await filter.dump('some')) as never)).to.equal(true);
  });

  it('a list with holes is a wrong argument, as one with an undefined in it is', () => {
    for (const wrong of [new Array(5), ['/a', , '/b'], ['/a', undefined]])
      expect(() => checkTexts('freshPages', wrong)).to.throw(OptionError, 'got undefined among them');
    expect(checkTexts('freshPages', ['/a'])).to.deep.equal(['/a']);
    expect(checkTexts('freshPages', [])).to.deep.equal([]);
  });

  it('what is too large is refused before it is keyed', () => {
    const key = (command: string, payload: unknown) => keyItems('a secret of sixteen', command, 'sid', payload);
    for (const [command, payload] of [
      ['pageview', 'x'.repeat(300_000)],
      ['mark-notification-seen', 'x'.repeat(300_000)],
      ['featuredpages', ['x'.repeat(300_000)]],
    ] as const)
      expect(() => key(command, payload), command).to.throw(OptionError, 'at most 262144 bytes');
    expect(key('pageview', '/').payload).to.match(/^#[\w-]{22}$/);
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
