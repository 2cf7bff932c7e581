import { expect } from 'chai';
import { Redis } from 'ioredis';
import sinon from 'sinon';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { ServerClock } from '../../lib/redis/server-clock.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('what a process knows of Redis’ clock', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));
  const sandbox = sinon.createSandbox();
  afterEach(() => sandbox.restore());

  const connected = async (url = redis.url) => {
    const own = new Redis(url);
    open.push(() => own.disconnect());
    const clock = new ServerClock(own, true);
    return { own, clock };
  };
  /** This process' clock goes on by so many ms at once. */
  const pass = (ms: number) => {
    const now = performance.now.bind(performance);
    sandbox.stub(performance, 'now').callsFake(() => now() + ms);
  };
  const timesAsked = async () => Number(/cmdstat_time:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);

  it('stays while a script keeps Redis busy, and it is asked again afterwards', async () => {
    const { clock } = await connected();
    await until('it has answered', () => clock.atLeastMs !== undefined);
    await client.config('SET', 'lua-time-limit', '1');
    const busy = client.eval('while true do end', 0).catch(() => {});
    const killer = new Redis(redis.url, { enableReadyCheck: false });
    open.push(() => killer.disconnect());
    killer.on('error', () => {});
    await until('a script runs for too long', async () => (await clock.ask()) === undefined);
    expect(clock.atLeastMs).to.be.a('number');
    await killer.script('KILL');
    await busy;
    const before = await timesAsked();
    pass(11_000);
    expect(clock.atLeastMs).to.be.a('number');
    await until('it is asked again', async () => (await timesAsked()) > before);
  });

  it('is not asked again where the account may not', async () => {
    await client.call('ACL', 'SETUSER', 'timeless', 'on', '>x', '~*', '+@all', '-time');
    const { own, clock } = await connected(redis.url.replace('//', '//timeless:x@'));
    await until('it is connected', () => own.status === 'ready');
    expect(await clock.ask()).to.equal(undefined);
    const rejected = async () => ((await client.acl('LOG')) as unknown[]).length;
    const before = await rejected();
    pass(11_000);
    expect(clock.atLeastMs).to.equal(undefined);
    await own.ping();
    expect(await rejected()).to.equal(before);
  });
});
