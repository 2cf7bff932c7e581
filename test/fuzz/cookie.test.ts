import { createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import express from 'express';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession, type RedisSessionStore } from '../../lib/index.js';
import { BROWSER, Site } from '../support/site.js';
import { anyText, damaged, fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

const secret = 'what signs the cookies of this site';
const sign = (sid: string, by = secret) =>
  `s:${sid}.${createHmac('sha256', by).update(sid).digest('base64').replace(/=+$/, '')}`;
const victims = sign('victim');

/** A header's characters, as a client can send them. */
const sendable = (value: string): string =>
  Buffer.from(value)
    .toString('latin1')
    .replace(/[\0-\x1f\x7f]/g, ' ');
const valid = fc.constantFrom(
  victims,
  encodeURIComponent(victims),
  sign('victim', 'another'),
  sign('none'),
  's:victim.',
  'victim',
);
const header = fc.oneof(
  damaged(valid.map((value) => `connect.sid=${value}`)),
  fc
    .array(fc.tuple(fc.constantFrom('connect.sid', '__proto__', 'x'), anyText(60)), { maxLength: 4 })
    .map((pairs) => pairs.map((pair) => pair.join('=')).join('; ')),
  anyText(200),
);

describe('fuzz: the session’s cookie', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let sessions: ReturnType<typeof intelligentSession>;
  let site: Site;
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const faults: Error[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    sessions = intelligentSession({ redis: redis.url, secret, worker: 'embedded', timeout: 9_000 });
    sessions.serving.on('fault', (error) => faults.push(error));
    (sessions.store as RedisSessionStore).on('fault', (error) => faults.push(error));
    const app = express().use(sessions);
    app.get('/', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ id: req.sessionID, owner: (req.session as { owner?: string }).owner, total: report?.totalPages });
    });
    site = await Site.open(app);
    await client.set(
      'sess:victim',
      '{"cookie":{"originalMaxAge":null,"expires":null},"owner":"the victim"}',
      'EX',
      86_400,
    );
  });
  after(async () => {
    agent.destroy();
    await site?.close();
    await sessions?.close();
    client?.disconnect();
    await redis?.stop();
  });

  const get = async (cookie: string) => {
    const sent = request(site.url, { agent, headers: { 'user-agent': BROWSER, cookie } }).end();
    const [response] = await once(sent, 'response');
    return { status: response.statusCode as number, body: await text(response) };
  };

  it('gives a session to who has its signature: with any other header a page, and nobody’s session', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const stored = await client.get('sess:victim');
    const isVictims = (cookie: string) => {
      let decoded = cookie;
      try {
        decoded = decodeURIComponent(cookie);
      } catch {
        // as it stands
      }
      return decoded.includes(victims) || cookie.includes(victims);
    };
    const four = fc.array(header.map(sendable), { minLength: 4, maxLength: 4 });
    await fuzz(
      four,
      async (cookies) => {
        faults.length = 0;
        for (const [i, { status, body }] of (await Promise.all(cookies.map(get))).entries()) {
          expect(status, body).to.equal(200);
          const { id, owner, total } = JSON.parse(body);
          const own = isVictims(cookies[i] as string);
          if (!own) expect([id === 'victim', owner, total], cookies[i]).to.deep.equal([false, undefined, 1]);
        }
        expect(faults).to.deep.equal([]);
      },
      { runs: RUNS / 4 },
    );
    expect((await get(`connect.sid=${encodeURIComponent(victims)}`)).body, 'the right one').to.contain('the victim');
    expect(JSON.parse((await client.get('sess:victim')) as string)).to.deep.equal(JSON.parse(stored as string));
  });
});
