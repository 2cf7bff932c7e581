import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { encodeId } from '../../lib/redis/keys.js';
import type { Executor } from '../../lib/serving/executor.js';
import { startDistance } from '../support/delay.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const namespace = 'far-logins:';
/** Each way. */
const DISTANCE_MS = 130;
const LOGINS = 30;
const OTHERS = 10;
/** Between two logins, between a login and the user's next page, and between two pages of another visitor's. */
const APART_MS = 50;

const HOUR = 3600;

for (const way of ['embedded', 'pubsub'] as const)
  describe(`logins with Redis ${DISTANCE_MS} ms away each way, ${way}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));

    it('each page after a login has what was known of the visitor, and nobody else waits for logins', async function () {
      this.timeout(60_000);
      const distance = await startDistance(redis.port, DISTANCE_MS);
      opened.push(() => distance.stop());
      const transport = way === 'embedded' ? undefined : way;
      if (transport) {
        const worker = await createWorker({ redis: distance.url, namespace, transport });
        opened.push(() => worker.close());
      }
      const options: IntelligentSessionOptions = transport ? { transport } : { worker: 'embedded' };
      const serving = [0, 1].map(() => {
        const user = () => undefined;
        const sessions = intelligentSession({ redis: distance.url, namespace, secret: 'test', user, ...options });
        opened.push(() => sessions.close());
        return sessions.serving;
      });
      const [first, second] = serving as unknown as [Executor, Executor];
      const degraded: string[] = [];
      for (const one of serving) one.on('degraded', (command, reason) => degraded.push(`${command}: ${reason}`));
      const ask = async (executor: Executor, command: string, sid: string, payload?: unknown): Promise<unknown> => {
        const options = {
          ttlSeconds: HOUR,
          timeoutMs: command === 'carry' ? 5000 : 400,
          isAnonymous: !sid.endsWith('~'),
        };
        const answer = await executor.ask(command, sid, payload, options);
        return answer.answered ? answer.data : answer.reason;
      };
      const names = Array.from({ length: LOGINS }, (_, i) => ({
        visitor: `visitor-${i}`,
        user: userSubject(`user ${i}`, undefined),
      }));
      const otherPage = (i: number) => ask(i % 2 === 0 ? first : second, 'featuredpages', `other-${i}`, ['/seen']);
      for (let i = 0; i < OTHERS; i++)
        await until('visitors get answers', async () => (await otherPage(i)) instanceof Array);
      await Promise.all(names.map(({ visitor }) => ask(first, 'pageview', visitor, '/seen')));
      degraded.length = 0;

      let loggingIn = true;
      const others = Array.from({ length: OTHERS }, async (_, i) => {
        const answers: unknown[] = [];
        while (loggingIn) {
          answers.push(await otherPage(i));
          await pause(APART_MS);
        }
        return answers;
      });
      // As the middleware does it: a process that doesn't know that it was carried asks for it before its first page of that user.
      const page = (executor: Executor, user: string, visitor: string) => {
        void ask(executor, 'carry', user, encodeId(visitor));
        return ask(executor, 'featuredpages', user, ['/seen', '/new']);
      };
      const pages: Promise<unknown>[] = [];
      for (const { user, visitor } of names) {
        pages.push(page(first, user, visitor));
        pages.push(pause(APART_MS).then(() => page(second, user, visitor)));
        await pause(APART_MS);
      }
      const afterLogin = await Promise.all(pages);
      loggingIn = false;
      const ofOthers = (await Promise.all(others)).flat();
      // what is told is what differs, as often as it came
      expect(afterLogin.map(String).filter((fresh) => fresh !== '/new')).to.deep.equal([]);
      expect(ofOthers.map(String).filter((fresh) => fresh !== '/seen')).to.deep.equal([]);
      expect(ofOthers).to.have.length.greaterThan(OTHERS);
      expect(degraded).to.deep.equal([]);
      expect(await client.exists(...names.map(({ user }) => `${namespace}ss:{${encodeId(user)}}:activity`))).to.equal(
        LOGINS,
      );
    });
  });
