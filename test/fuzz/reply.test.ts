import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { IntelligentSessionError } from '../../lib/index.js';
import { parseChannel, type ReplyList, replyListOf } from '../../lib/transport/protocol.js';
import type { Answer } from '../../lib/serving/executor.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import type { RemoteExecutorOptions } from '../../lib/serving/remote-executor-options.js';
import { anyText, damaged, fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

const report = {
  totalPages: 1,
  uniquePages: 1,
  previouslyVisited: false,
  activityThisMinute: false,
  activity: [0, 0, 0, 0, 0],
  newToSite: true,
  inactive: true,
};
/** Of each built-in command: what is asked, a right answer, and whether something is of its shape. */
const bit = (data: unknown): boolean => data === 0 || data === 1;
const isList = (data: unknown, is: (one: unknown) => boolean): boolean => Array.isArray(data) && data.every(is);
const asks: [command: string, payload: unknown, right: unknown, fits: (data: any) => boolean][] = [
  ['pageview', '/', report, (data) => typeof data.totalPages === 'number' && isList(data.activity, bit)],
  ['combo', ['/a'], 1, bit],
  ['featuredpages', ['/a', '/b'], ['/a'], (data) => isList(data, (one) => typeof one === 'string')],
  [
    'notifications',
    ['n'],
    [{ id: 'n', seen: true }],
    (data) => isList(data, (one: any) => typeof one.seen === 'boolean'),
  ],
  ['mark-notification-seen', 'n', 1, bit],
  ['activity', '3', [0, 1, 0], (data) => isList(data, bit)],
];

const rightData = fc.constantFrom(...asks.map(([, , right]) => right));
const anyData = fc.oneof(
  rightData,
  fc.jsonValue(),
  damaged(rightData.map((data) => JSON.stringify(data))),
  fc.constantFrom(null, [null], [[]], {}, '__proto__', { __proto__: 1 }, -0, 2 ** 53),
);
const anyAnswer = fc.oneof(
  damaged(anyData.map((data) => JSON.stringify(data))).map((text) => ({ text })),
  anyText(200).map((text) => ({ text })),
  fc.record(
    {
      id: fc.oneof(fc.constant(true), fc.jsonValue()),
      command: fc.oneof(fc.constant(true), fc.constantFrom(...asks.map(([command]) => command)), fc.jsonValue()),
      nonce: fc.oneof(fc.constant(true), fc.jsonValue()),
      data: anyData,
      error: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
);

/** The text of an answer; a field that is `true` is the request's own. */
function textOf(answer: object, own: Record<string, unknown>): string {
  if ('text' in answer) return String(answer.text);
  return JSON.stringify(answer, (key, value) => (value === true && key in own ? own[key] : value));
}

for (const replies of ['inbox', 'list'] as const)
  describe(`fuzz: answers by ${replies}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let ears: Redis;
    let serving: RemoteExecutor;
    /** what comes before the right answer */
    let forged: readonly object[] = [];
    const faults: Error[] = [];

    before(async () => {
      redis = await startPrivateRedis();
      client = new Redis(redis.url);
      ears = new Redis(redis.url);
      const options: RemoteExecutorOptions = { replies };
      serving = new RemoteExecutor(redis.url, options);
      serving.on('fault', (error) => faults.push(error));
      ears.on('pmessage', (_pattern, channel: string) => {
        const message = parseChannel('', channel);
        const { id, nonce } = message.request;
        const { key, head } = replyListOf('', message) as ReplyList;
        const right = asks.find(([command]) => command === message.command)?.[2];
        const own = { id, command: message.command, nonce };
        const last = head === undefined ? JSON.stringify(right) : JSON.stringify({ ...own, data: right });
        void client.rpush(key, ...forged.map((one) => textOf(one, own)), last);
      });
      await ears.psubscribe('ss:*');
      forged = [];
      await serving.ask('combo', 'sid', ['/a'], { ttlSeconds: 60, timeoutMs: 9_000 }); // from now on nonces are required
    });
    after(async () => {
      await serving?.close();
      for (const one of [client, ears]) one?.disconnect();
      await redis?.stop();
    });

    it('are of their command’s shape, or refused; the page gets the right one after it, and no fault repeats a text', async function () {
      this.timeout(FUZZ_TIMEOUT_MS);
      const secret = 'what-no-line-may-say';
      await fuzz(
        fc.array(anyAnswer, { minLength: 1, maxLength: 4 }),
        async (some) => {
          faults.length = 0;
          forged = some;
          const answers: Answer[] = await Promise.all(
            asks.map(([command, payload]) =>
              serving.ask(command, 'sid', payload, { ttlSeconds: 60, timeoutMs: 9_000 }),
            ),
          );
          for (const [i, answer] of answers.entries()) {
            const [command, , , fits] = asks[i] as (typeof asks)[number];
            if (answer.answered && (answer.data ?? null) !== null) expect(fits(answer.data), command).to.equal(true);
          }
          for (const fault of faults) {
            expect(fault, 'a coded fault').to.be.instanceOf(IntelligentSessionError);
            expect(fault.message)
              .to.not.contain(secret)
              .and.not.match(/[\0-\x1f]/);
          }
        },
        {
          runs: RUNS / asks.length,
          examples: [
            [{ text: secret }],
            [{ text: `"${secret}` }],
            [{ id: true, command: true, nonce: true, error: `\u001b[2J` }],
          ],
        },
      );
    });
  });
