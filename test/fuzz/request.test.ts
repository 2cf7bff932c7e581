import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { createWorker, IntelligentSessionError, type Worker } from '../../lib/index.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { builtIn } from '../../lib/intelligence/commands.js';
import { minutesOf } from '../../lib/intelligence/commands/activity/index.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { encodeId, MAX_ID_LENGTH } from '../../lib/redis/keys.js';
import {
  channelOf,
  answerText,
  formatRequestId,
  type Message,
  parseChannel,
  parseRequestId,
  replyListOf,
} from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';
import { anyText, coded, damaged, fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

const MESSAGE = /^ERR_INTELLIGENT_SESSION_MESSAGE$/;
const commands = [...builtIn.keys(), 'own'];

const word = fc.oneof(fc.string({ unit: fc.constantFrom(...'aB0_-'.split('')), maxLength: 70 }), anyText(12));
const anyId = fc.oneof(
  fc.constantFrom('victi', 'victim}', '{victim}', 'victim}:visited', '{victi', 'Victim', 'victim\0', 'a~1', ''),
  anyText(),
  anyText(520),
);
const rid = fc.oneof(
  fc
    .record({
      id: anyId,
      replyTo: fc.constantFrom('nobody' as const, { inbox: 'inbox-1234' }),
      ttlSeconds: fc.nat(),
      nonce: word,
      isAnonymous: fc.boolean(),
    })
    .map(formatRequestId),
  fc.array(fc.oneof(word, fc.nat().map(String)), { maxLength: 7 }).map((fields) => fields.join('@')),
);
const whole = fc
  .tuple(fc.oneof(fc.constantFrom(...commands), word), fc.oneof(anyId, anyId.map(encodeId)), rid)
  .map((parts) => channelOf('', parts.join(':')));
const channel = fc.oneof(whole, damaged(whole));
const payload = fc.oneof(
  anyText(),
  fc.json(),
  damaged(fc.array(anyText(8), { maxLength: 5 }).map((list) => JSON.stringify(list))),
  fc.oneof(fc.integer(), fc.double()).map(String),
  fc.constantFrom('-1e300', '9e999', '1'.repeat(400), '['.repeat(50_000), 'x'.repeat(262_145)),
);

describe('fuzz: a request', () => {
  it('is read, or refused by a coded error; what is read names its own session’s keys only', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const wrongId = `ss:pageview:${'}'.repeat(400)}:1`; // encoded it has 1,200 characters
    await fuzz(
      fc.tuple(channel, payload),
      async ([text, data]) => {
        const message = await coded(() => parseChannel('', text), MESSAGE);
        if (message) expectWhole(message, data);
      },
      {
        examples: [
          [wrongId, '/'],
          ['ss:pageview:sid:0@-@@60@nonce', '/'],
        ],
      },
    );
  });

  it('has a payload of which a built-in command makes arguments, or a coded error', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const client = new Redis({ lazyConnect: true });
    const of = {
      bloom: new PlainBloomFilter(client),
      activityDays: 7,
      combos: new Map([['known', ['/a']]]),
      items: storedItems('a secret of sixteen'),
      messageAgeMs: 60_000,
    };
    const call = { sid: 'sid', id: '1', isAnonymous: true };
    await fuzz(payload, async (text) => {
      for (const [name, command] of builtIn) {
        const fields = await coded(() => {
          if ('fields' in command) return command.fields({ ...call, payload: text }, of);
          if ('from' in command) return { from: command.from('sid', text) };
          if (!('list' in command)) return {};
          const list = command.list(text, of);
          return { list, ...command.fieldsOf?.(list) };
        }, MESSAGE);
        const sent = JSON.stringify(fields ?? {});
        expect(sent.isWellFormed(), name).to.equal(true);
        expect(JSON.parse(sent)).to.deep.equal(fields ?? {});
        expect(command.cost(text, of), name).to.be.within(1, 1_000);
      }
      const minutes = await coded(() => minutesOf(text, of), MESSAGE);
      if (minutes !== undefined) expect(minutes).to.be.within(1, 10_080);
    });
  });
});

function expectWhole(message: Message, data: unknown): void {
  const { sid, request } = message;
  expect(encodeId(sid).length).to.be.within(1, MAX_ID_LENGTH);
  expect(parseRequestId(formatRequestId(request)), 'the same when it is sent again').to.deep.equal(request);
  for (const key of Object.values(commandKeys('', sid))) {
    expect(key).to.match(
      /^ss:\{[^{}:\0-\x1f]+\}:(activity|pages|visited|notified|visited-items|notified-items|seen|inbox|own|carried|merged|gone)$/,
    );
    expect(key.slice(4, key.indexOf('}'))).to.equal(encodeId(sid));
  }
  const answer = replyListOf('', message);
  if (!answer) return;
  expect(answer.key).to.match(/^async:(inbox:[\w-]+|[a-z0-9-]+:[^:]+:[^:]+)$/s);
  const item = JSON.parse(answerText(answer, JSON.stringify(data) ?? 'null'));
  if (answer.head === undefined) return;
  expect([item.id, item.command, item.nonce]).to.deep.equal([request.id, message.command, request.nonce]);
}

describe('fuzz: requests to a worker', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let worker: Worker;
  let serving: RemoteExecutor;
  const faults: Error[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    worker = await createWorker({ redis: redis.url, commands: { own: ({ payload }) => payload } });
    worker.on('fault', (error) => faults.push(error));
    serving = new RemoteExecutor(redis.url);
  });
  after(async () => {
    await serving?.close();
    await worker?.close();
    client?.disconnect();
    await redis?.stop();
  });

  it('touch no other session and no other’s key, and end nothing', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await serving.ask('pageview', 'victim', '/a', { ttlSeconds: 40_000_000, timeoutMs: 10_000 });
    await serving.ask('mark-notification-seen', 'victim', 'n', { ttlSeconds: 40_000_000, timeoutMs: 10_000 });
    await client.mset('theirs', 'x', 'sess:victim', '{}', 'ss:victim:visited', 'x');
    await client.rpush('async:own:theirs:1', 'x');
    await client.rpush('async:inbox:inbox-1234', 'x');
    const keys = await client.keys('*');
    expect(keys).to.have.lengthOf(10);
    const stands = () => Promise.all(keys.map((key) => client.dumpBuffer(key)));
    const before = await stands();
    const isVictims = (text: string) => /^ss:[^:]*:victim:/.test(text);
    const messages = fc.array(
      fc.tuple(
        channel.filter((text) => !isVictims(text)),
        payload,
      ),
      { minLength: 10, maxLength: 10 },
    );
    await fuzz(
      messages,
      async (all) => {
        faults.length = 0;
        const pipeline = client.pipeline();
        for (const [text, data] of all) pipeline.publish(text, data);
        await pipeline.exec();
        const asked = await serving.ask('combo', 'victim', ['/a'], { ttlSeconds: 60, timeoutMs: 9_000 });
        expect(asked, 'the worker answers').to.deep.equal({ answered: true, data: 1 });
        expect(await stands()).to.deep.equal(before);
        for (const fault of faults) expect(fault, 'a coded fault').to.be.instanceOf(IntelligentSessionError);
      },
      { runs: RUNS / 10 },
    );
    for (const key of await client.keys('*'))
      if (!keys.includes(key))
        expect(key).to.match(
          /^(ss:\{[^{}]+\}:(activity|pages|visited|notified|visited-items|notified-items|gone|carried)|async:[^]+)$/,
        );
  });

  it('are at most 64 of a call, whatever one says of its size', async () => {
    const calls = async () => Number(/processing_seconds_count (\d+)/.exec(await worker.metrics.metrics())?.[1]);
    for (const [round, minutes] of ['-1e300', '-9999999', '9e999', 'NaN', '-Infinity'].entries()) {
      const before = await calls();
      const pipeline = client.pipeline().publish('ss:activity:attacker:1@@@60', minutes);
      for (let i = 0; i < 1280; i++) pipeline.publish(`ss:pageview:${round}-${i % 40}:x~${i.toString(36)}@@@60`, '/');
      await pipeline.exec();
      const views = () => Promise.all(Array.from({ length: 40 }, (_, i) => viewsOf(client, '', `${round}-${i}`)));
      await until('all are counted', async () => (await views()).every((count) => count === 32));
      await until(`${minutes}: as many calls as that takes`, async () => (await calls()) - before >= 1280 / 64);
    }
  });
});
