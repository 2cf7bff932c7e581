import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { streamKey, workersKey } from '../../lib/redis/keys.js';
import { GROUP, MAX_PAYLOAD_BYTES } from '../../lib/transport/protocol.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

/** What SECURITY.md and docs/security.md say and no other test holds. */
describe('what the security pages say', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));

  it('who may write Redis can put back an older encrypted record of the same session', async () => {
    const store = new RedisSessionStore({ url: redis.url, encryption: { secrets: ['a secret of sixteen'] } });
    open.push(() => store.close());
    const of = (right: string) => ({ cookie: {}, right }) as unknown as SessionData;
    await store.set('sid', of('admin'));
    const older = (await client.get('sess:sid')) as string;
    await store.destroy('sid');
    await client.unlink('ended:{sess:sid}');
    await store.set('sid', of('none'));
    await client.set('sess:sid', older);
    expect(await store.get('sid')).to.deep.include({ right: 'admin' });
  });

  it('the example’s cookie is __Host-, Secure, HttpOnly, SameSite, and has 192 bits', async () => {
    const text = readFileSync(new URL('../../SECURITY.md', import.meta.url), 'utf8');
    const [, example = ''] = /\n {2}session: (\{[^]*?\n {2}\}),\n/.exec(text) ?? [];
    // oxlint-disable-next-line typescript/no-implied-eval -- the example is a piece of our own documentation
    const session = new Function(`return (${example})`)();
    const sessions = intelligentSession({
      redis: redis.url,
      secret: 'a secret of sixteen',
      session: { ...session, proxy: true },
    });
    const site = await Site.open(express().use(sessions, (req, res) => void res.send(req.sessionID)));
    open.push(
      () => sessions.close(),
      () => site.close(),
    );
    const ids = new Set<string>();
    for (let i = 0; i < 8; i++) {
      const response = await new Visitor(site.url).fetch('/', { headers: { 'x-forwarded-proto': 'https' } });
      const [cookie = ''] = response.headers.getSetCookie();
      expect(cookie).to.match(/^__Host-sid=s%3A[\w-]{32}\./);
      expect(cookie).to.match(/; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/);
      ids.add(await response.text());
    }
    expect(ids.size).to.equal(8);
  });

  it('a worker has at most 64 MB of a stream’s messages in hand, and one read more', async () => {
    const [namespace, messages] = ['hand:', 500];
    const key = streamKey(namespace, 0);
    const payload = 'x'.repeat(MAX_PAYLOAD_BYTES);
    for (let i = 0; i < messages; i++)
      await client.xadd(key, '*', 'r1', `own:sid:x~${i.toString(36)}@@@60`, 'p', payload);
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const worker = await createWorker({
      ...{ redis: redis.url, namespace, transport: 'stream', partitions: 1 },
      commands: { own: () => released },
    });
    open.push(() => worker.close());
    const seen = () => client.zscore(workersKey(namespace), worker.id);
    const pending = async () => ((await client.xpending(key, GROUP)) as [number])[0];
    await until('it has read that much', async () => (await pending()) >= 256);
    for (let beats = 0, last = await seen(); beats < 2; beats++, last = await seen())
      await until('it says that it is there, and would have read more', async () => (await seen()) !== last);
    expect(await pending()).to.be.within(256, 256 + 128);
    release();
    await until('all are worked on', async () => (await pending()) === 0 && (await client.xlen(key)) === 0, 60_000);
  }).timeout(120_000);
});
