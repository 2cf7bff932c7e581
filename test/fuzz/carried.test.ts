import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { loadScript } from '../../lib/redis/load-script.js';
import type { Executor } from '../../lib/serving/executor.js';
import { until } from '../support/until.js';
import { fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

const namespace = 'fuzz:';
const PAGES = ['/a', '/b', '/c', '/d', '/e'];
const IDS = ['n1', 'n2', 'n3'];
const SET_ASIDE = loadScript('lib/intelligence/commands/carry/set-aside.lua');
/** A tenth of the cases: each is some ten messages to Redis. */
const CASES = RUNS / 10;
/** Requests of which every token is remembered. */
const MAX_STEPS = 16;

type Who = 'one' | 'other' | 'user';
type Step =
  | { readonly act: 'view' | 'mark'; readonly who: Who; readonly item: string }
  | { readonly act: 'carry' | 'set aside'; readonly who: 'one' | 'other' }
  | { readonly act: 'forget'; readonly who: Who };

const anyone = fc.constantFrom<Who>('one', 'one', 'other', 'user');
const visitor = fc.constantFrom('one' as const, 'one' as const, 'other' as const);
const view = fc.record({ act: fc.constant('view' as const), who: anyone, item: fc.constantFrom(...PAGES) });
const mark = fc.record({ act: fc.constant('mark' as const), who: anyone, item: fc.constantFrom(...IDS) });
const carry = fc.record({
  act: fc.constantFrom('carry' as const, 'carry' as const, 'set aside' as const),
  who: visitor,
});
const forget = fc.record({ act: fc.constant('forget' as const), who: anyone });
const steps = (...weighted: fc.WeightedArbitrary<Step>[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...weighted), { minLength: 1, maxLength: MAX_STEPS });

/** What is kept of one subject, as counters and sets. */
class Known {
  views = 0;
  readonly pages = new Set<string>();
  readonly seen = new Set<string>();

  get isNothing(): boolean {
    return this.views === 0 && this.seen.size === 0;
  }

  add(other: Known): void {
    this.views += other.views;
    for (const page of other.pages) this.pages.add(page);
    for (const id of other.seen) this.seen.add(id);
  }
}

/** What a login is to do, without Redis. */
class Model {
  readonly known: Record<Who, Known> = { one: new Known(), other: new Known(), user: new Known() };
  readonly aside: { [Visitor in Who]?: Known } = {};
  /** what has ended, and whether it goes on with the user */
  readonly ended: { [Ended in Who]?: 'moved' | 'erased' } = {};
  /** what was set aside before the user was forgotten */
  readonly #isOld: { [Visitor in Who]?: boolean } = {};

  /** Who counts what is sent for somebody; undefined: nobody. */
  #countedFor(who: Who): Known | undefined {
    const { [who]: end } = this.ended;
    return end === 'moved' ? this.#countedFor('user') : end === 'erased' ? undefined : this.known[who];
  }

  view(who: Who, page: string): object | null {
    const known = this.#countedFor(who);
    if (!known) return null;
    const previouslyVisited = known.pages.has(page);
    known.pages.add(page);
    return { totalPages: ++known.views, uniquePages: known.pages.size, previouslyVisited };
  }

  mark(who: Who, id: string): number | null {
    const known = this.#countedFor(who);
    if (!known) return null;
    const wasSeen = known.seen.has(id);
    known.seen.add(id);
    return wasSeen ? 0 : 1;
  }

  setAside(who: 'one' | 'other'): void {
    if (this.ended[who] === 'erased' || this.aside[who]) return;
    this.ended[who] = 'moved';
    if (!this.known[who].isNothing) this.aside[who] = this.known[who];
    this.#isOld[who] = false;
    this.known[who] = new Known();
  }

  carry(who: 'one' | 'other'): number {
    this.setAside(who);
    const { [who]: aside } = this.aside;
    delete this.aside[who];
    if (!aside || this.#isOld[who]) return 0;
    this.known.user.add(aside);
    return 1;
  }

  forget(who: Who): void {
    this.known[who] = new Known();
    // A user goes on.
    if (who === 'user') return void Object.assign(this.#isOld, { one: true, other: true });
    this.ended[who] = 'erased';
    delete this.aside[who];
  }
}

for (const [title, itemSecret] of [
  ['', undefined],
  [', with itemSecret', 'a secret of more than sixteen'],
] as const)
  describe(`fuzz: what a login carries${title}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let sessions: ReturnType<typeof intelligentSession>;
    let serving: Executor;
    const subjects: Record<Who, string> = { one: 'visitor-1', other: 'visitor-2', user: userSubject('u', itemSecret) };

    before(async () => {
      redis = await startPrivateRedis();
      client = new Redis(redis.url);
      sessions = intelligentSession({
        redis: redis.url,
        namespace,
        secret: 'test',
        worker: 'embedded',
        user: 'identify',
        ...(itemSecret && { itemSecret }),
      });
      serving = sessions.serving;
    });
    after(async () => {
      await sessions?.close();
      client?.disconnect();
      await redis?.stop();
    });

    const ask = async (command: string, who: Who, payload: unknown): Promise<any> => {
      const isAnonymous = who !== 'user';
      const answer = await serving.ask(command, subjects[who], payload, {
        ttlSeconds: 60,
        timeoutMs: 9000,
        isAnonymous,
      });
      if (!answer.answered) throw answer.error ?? new Error(answer.reason);
      return answer.data;
    };
    /** The same subjects for each case: then no two pages ever have one place in a HyperLogLog, or have it always. */
    const empty = () =>
      client.unlink(...Object.values(subjects).flatMap((subject) => Object.values(commandKeys(namespace, subject))));
    const setAside = async (who: Who) => {
      const keys = commandKeys(namespace, subjects[who]);
      const [visited, notified] = [keys['visited-items'], keys['notified-items']];
      const all = [keys.carried, keys.gone, keys.activity, keys.pages, keys.visited, visited, keys.notified, notified];
      await client.eval(SET_ASIDE, all.length, ...(all as string[]), subjects.user, 60_000, 60_000);
    };
    const act = (step: Step): Promise<any> => {
      if (step.act === 'view') return ask('pageview', step.who, step.item);
      if (step.act === 'mark') return ask('mark-notification-seen', step.who, step.item);
      if (step.act === 'carry') return ask('carry', 'user', subjects[step.who]);
      if (step.act === 'set aside') return setAside(step.who);
      return erase(step.who);
    };
    /**
     * Redis tells two moments apart that are not in the same millisecond, and this process, which goes by its own clock from Redis' last
     * answer, two that are two milliseconds apart here.
     */
    const nextMs = async () => {
      const [began, beganHere] = [await clockMs(), performance.now()];
      await until(
        'a millisecond has passed',
        async () => (await clockMs()) > began && performance.now() > beganHere + 2,
      );
    };
    const clockMs = async () => {
      const [seconds = 0, microseconds = 0] = await client.time();
      return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
    };
    const erase = async (who: Who) => {
      if (who === 'user') await nextMs();
      await serving.forget(subjects[who]);
      if (who === 'user') await nextMs();
    };
    const expectKnown = async (who: Who, { pages, seen }: Known) => {
      expect(await ask('featuredpages', who, PAGES), who).to.deep.equal(PAGES.filter((page) => !pages.has(page)));
      const notifications = IDS.map((id) => ({ id, seen: seen.has(id) }));
      expect(await ask('notifications', who, IDS), who).to.deep.equal(notifications);
    };

    it('is what a model of sets and counters has, message by message', async function () {
      this.timeout(FUZZ_TIMEOUT_MS);
      await fuzz(
        steps(
          { weight: 8, arbitrary: view },
          { weight: 4, arbitrary: mark },
          { weight: 4, arbitrary: carry },
          { weight: 1, arbitrary: forget },
        ),
        async (all) => {
          await empty();
          const model = new Model();
          for (const step of all) {
            const given = await act(step);
            if (step.act === 'view') {
              const expected = model.view(step.who, step.item);
              if (expected) expect(given).to.include(expected);
              else expect(given).to.equal(null);
            } else if (step.act === 'mark') expect(given).to.equal(model.mark(step.who, step.item));
            else if (step.act === 'carry') expect(given).to.equal(model.carry(step.who));
            else if (step.act === 'set aside') model.setAside(step.who);
            else model.forget(step.who);
          }
          for (const who of ['one', 'other', 'user'] as const) await expectKnown(who, model.known[who]);
        },
        { runs: CASES },
      );
    });

    it('is all that was counted, in whatever order messages are worked on that are sent at once', async function () {
      this.timeout(FUZZ_TIMEOUT_MS);
      await fuzz(
        steps({ weight: 8, arbitrary: view }, { weight: 4, arbitrary: mark }, { weight: 4, arbitrary: carry }),
        async (all) => {
          await empty();
          await Promise.all(all.map(act));
          for (const who of ['one', 'other'] as const) await act({ act: 'carry', who });
          const whole = new Known();
          for (const step of all)
            if (step.act === 'view') {
              whole.views++;
              whole.pages.add(step.item);
            } else if (step.act === 'mark') whole.seen.add(step.item);
          await expectKnown('user', whole);
          whole.pages.add('/a');
          const { views, pages } = whole;
          expect(await ask('pageview', 'user', '/a')).to.include({ totalPages: views + 1, uniquePages: pages.size });
          for (const who of ['one', 'other'] as const) await expectKnown(who, new Known());
        },
        { runs: CASES },
      );
    });
  });
