import { once } from 'node:events';
import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { newAnonymousSubject, userSubject } from '../../lib/intelligence/command/subject.js';
import { createNotifications, type Notifications } from '../../lib/notifications/index.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { goneKey, inboxListKey, seenKey } from '../../lib/redis/keys.js';
import { fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';

/** Each case is some hundred messages to Redis: 300 of them in `npm test`. */
const CASES = (RUNS * 3) / 50;
const IDS = ['a', 'b', 'c', 'd'];
const GROUPS = ['news', 'everybody'] as const;
const TTL_SECONDS = 3600;
const MANY = 24;

type To = (typeof GROUPS)[number] | 'own';
type Device = 'phone' | 'laptop';
type Who = Device | 'user';
type Step =
  | { readonly act: 'publish' | 'edit' | 'again' | 'remove'; readonly to: To; readonly id: string }
  | { readonly act: 'mark'; readonly who: Who; readonly id: string }
  | { readonly act: 'mark all' | 'mark one by one'; readonly who: Who }
  | { readonly act: 'publish many'; readonly to: To }
  | { readonly act: 'publish while all is marked'; readonly to: To; readonly id: string; readonly who: Who }
  | { readonly act: 'login' | 'carry'; readonly device: Device }
  | { readonly act: 'forget' };

const to = fc.constantFrom<To>('news', 'news', 'everybody', 'own');
const id = fc.constantFrom(...IDS);
const who = fc.constantFrom<Who>('phone', 'laptop', 'user');
const device = fc.constantFrom<Device>('phone', 'laptop');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ act: fc.constant('publish' as const), to, id }) },
  {
    weight: 3,
    arbitrary: fc.record({ act: fc.constantFrom('edit' as const, 'again' as const, 'remove' as const), to, id }),
  },
  { weight: 5, arbitrary: fc.record({ act: fc.constant('mark' as const), who, id }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constantFrom('mark all' as const, 'mark one by one' as const), who }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('publish many' as const), to }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('publish while all is marked' as const), to, id, who }) },
  {
    weight: 3,
    arbitrary: fc.record({ act: fc.constantFrom('login' as const, 'login' as const, 'carry' as const), device }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('forget' as const) }) },
);
const cases = fc.record({
  most: fc.constantFrom(3, 3, 40),
  steps: fc.array(step, { minLength: 8, maxLength: 20, size: 'max' }),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** A notification as it stands in its list: another one when it is unread again. */
interface Item {
  readonly id: string;
}

/** What lists have, and who has read what, as sets. */
class Model {
  readonly lists: Record<To, Item[]> = { news: [], everybody: [], own: [] };
  readonly seen: Record<Who, Set<Item>> = { phone: new Set(), laptop: new Set(), user: new Set() };
  readonly loggedIn = new Set<Device>();

  constructor(readonly most: number) {}

  /** Of whom a mark is kept. */
  keeper(one: Who): Who {
    return one !== 'user' && this.loggedIn.has(one) ? 'user' : one;
  }

  /** A user's own list is nobody else's. */
  listsOf(one: Who): To[] {
    return this.keeper(one) === 'user' ? [...GROUPS, 'own'] : [...GROUPS];
  }

  publish(list: To, itsId: string): void {
    const items = this.lists[list];
    if (items.some((item) => item.id === itsId)) return;
    items.push({ id: itsId });
    if (items.length > this.most) items.shift();
  }

  again(list: To, itsId: string): boolean {
    const isThere = this.remove(list, itsId);
    if (isThere) this.lists[list].push({ id: itsId });
    return isThere;
  }

  remove(list: To, itsId: string): boolean {
    const at = this.lists[list].findIndex((item) => item.id === itsId);
    if (at >= 0) this.lists[list].splice(at, 1);
    return at >= 0;
  }

  mark(one: Who, itsId: string): boolean | null {
    const items = this.listsOf(one).flatMap((list) => this.lists[list].filter((item) => item.id === itsId));
    const seen = this.seen[this.keeper(one)];
    const wasUnread = items.some((item) => !seen.has(item));
    for (const item of items) seen.add(item);
    return items.length === 0 ? null : wasUnread;
  }

  markIn(one: Who, list: To, itsId: string): void {
    for (const item of this.lists[list]) if (item.id === itsId) this.seen[this.keeper(one)].add(item);
  }

  markAll(one: Who): void {
    for (const list of this.listsOf(one)) for (const item of this.lists[list]) this.seen[this.keeper(one)].add(item);
  }

  carry(from: Device): void {
    for (const item of this.seen[from]) this.seen.user.add(item);
    this.seen[from].clear();
  }

  /** `<list> <id> <seen>`, newest first in each list. */
  readBy(one: Who): string[] {
    const seen = this.seen[this.keeper(one)];
    return this.listsOf(one).flatMap((list) =>
      this.lists[list].toReversed().map((item) => `${list} ${item.id} ${seen.has(item)}`),
    );
  }
}

describe('what visitors have read of notifications', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let readings: VisitorNotifications[];
  let publishers: Map<number, Notifications>;
  const faults: unknown[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    const options = {
      namespace: '',
      timeoutMs: 5000,
      maxWaitMs: 5000,
      durable: undefined,
    };
    readings = [0, 1].map(
      () =>
        new VisitorNotifications(
          redis.url,
          { ...options, earlier: 'unread' },
          { fault: (error) => faults.push(error), unanswered: (method, why) => faults.push(`${method} ${why}`) },
        ),
    );
    publishers = new Map([3, 40].map((most) => [most, createNotifications({ redis: redis.url, maxPerGroup: most })]));
  });
  after(async () => {
    for (const reading of readings ?? []) await reading.close(0);
    for (const publisher of publishers?.values() ?? []) await publisher.close();
    client?.disconnect();
    await redis?.stop();
  });

  /** One case has groups and visitors of its own. */
  class Ground {
    static #next = 0;
    readonly #n = Ground.#next++;
    readonly model: Model;
    readonly #publisher: Notifications;
    #told = 0;
    #heard = [0, 0];
    #waiting = () => {};
    #unfollow: (() => void)[] = [];
    readonly #anonymous = { phone: newAnonymousSubject(), laptop: newAnonymousSubject() };

    constructor({ most }: Case) {
      this.model = new Model(most);
      this.#publisher = publishers.get(most) as Notifications;
    }

    groupOf = (list: (typeof GROUPS)[number]) => `${list}-${this.#n}`;
    get groups(): string[] {
      return GROUPS.map(this.groupOf);
    }
    get user(): string {
      return userSubject(`user-${this.#n}`, undefined);
    }
    recipient(list: To) {
      return list === 'own' ? { user: `user-${this.#n}` } : { group: this.groupOf(list) };
    }
    reader(one: Who) {
      return { subject: one === 'user' ? this.user : this.#anonymous[one], ttlSeconds: TTL_SECONDS };
    }

    /** Both processes hear what is told of the groups. */
    async listen(): Promise<void> {
      for (const [i, { changes }] of readings.entries())
        for (const group of this.groups) {
          const heard = () => {
            this.#heard[i]! += 1;
            this.#waiting();
          };
          this.#unfollow.push(changes.follow({ group }, heard));
        }
      for (const { changes } of readings)
        while (!this.groups.every((group) => changes.isHeard({ group }))) await once(changes, 'ready');
    }

    end(): void {
      for (const unfollow of this.#unfollow) unfollow();
    }

    /** A change of a group's list was made: both processes have heard of it. */
    async #isTold(list: To): Promise<void> {
      if (list === 'own') return;
      this.#told++;
      await new Promise<void>((resolve) => {
        this.#waiting = () => {
          if (this.#heard.every((count) => count >= this.#told)) resolve();
        };
        this.#waiting();
      });
    }

    async publish(list: To, itsId: string): Promise<void> {
      const isNew = !this.model.lists[list].some((item) => item.id === itsId);
      await this.#publisher.publish(this.recipient(list), { id: itsId, title: itsId });
      this.model.publish(list, itsId);
      if (isNew) await this.#isTold(list);
    }

    async read(one: Who, reading: VisitorNotifications): Promise<string[]> {
      const read = await reading.read('notifications', this.groups, this.reader(one));
      const names: To[] = [...GROUPS, 'own'];
      return (read?.lists ?? []).flatMap((list, i) =>
        list.items.map((item) => `${names[i]} ${item.id} ${list.isSeen(item)}`),
      );
    }

    async step(step: Step, reading: VisitorNotifications): Promise<void> {
      const { model } = this;
      switch (step.act) {
        case 'publish':
          return this.publish(step.to, step.id);
        case 'publish many':
          for (let i = 0; i < MANY; i++) await this.publish(step.to, `n${i}`);
          return;
        case 'edit':
        case 'again': {
          const isAgain = step.act === 'again';
          const isThere = isAgain
            ? model.again(step.to, step.id)
            : model.lists[step.to].some((item) => item.id === step.id);
          const change = { title: 'edited' };
          const edited = await this.#publisher.edit(this.recipient(step.to), step.id, change, { again: isAgain });
          expect(edited).to.equal(isThere);
          if (edited) await this.#isTold(step.to);
          return;
        }
        case 'remove': {
          const removed = await this.#publisher.remove(this.recipient(step.to), step.id);
          expect(removed).to.equal(model.remove(step.to, step.id));
          if (removed) await this.#isTold(step.to);
          return;
        }
        case 'mark':
          expect(await reading.mark(step.id, this.groups, this.reader(step.who))).to.equal(
            model.mark(step.who, step.id),
          );
          return;
        case 'mark all':
          expect(await reading.markAll(this.groups, this.reader(step.who))).to.equal(true);
          return model.markAll(step.who);
        case 'mark one by one': {
          const ids = new Set(model.listsOf(step.who).flatMap((list) => model.lists[list].map((item) => item.id)));
          for (const one of ids)
            expect(await reading.mark(one, this.groups, this.reader(step.who))).to.equal(model.mark(step.who, one));
          return;
        }
        case 'publish while all is marked': {
          model.markAll(step.who);
          const marking = reading.markAll(this.groups, this.reader(step.who));
          await Promise.all([marking, this.publish(step.to, step.id)]);
          // the new one may have been among all, and nothing else is in doubt
          if ((await this.read(step.who, reading)).includes(`${step.to} ${step.id} true`))
            model.markIn(step.who, step.to, step.id);
          return;
        }
        case 'login':
        case 'carry': {
          expect(await reading.carry(this.reader(step.device).subject, this.reader('user'))).to.equal(true);
          model.carry(step.device);
          if (step.act === 'carry' || model.loggedIn.has(step.device)) return;
          await client.set(goneKey('', this.reader(step.device).subject), this.user);
          model.loggedIn.add(step.device);
          return;
        }
        case 'forget':
          await client.unlink(seenKey('', this.user), inboxListKey('', this.user));
          model.seen.user.clear();
          model.lists.own = [];
      }
    }
  }

  it('is exact: nothing unread reads as seen, and no mark is lost', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(
      cases,
      async (one) => {
        const ground = new Ground(one);
        await ground.listen();
        try {
          for (const [i, each] of one.steps.entries()) {
            await ground.step(each, readings[i % 2] as VisitorNotifications);
            for (const [j, visitor] of (['phone', 'laptop', 'user'] as const).entries()) {
              const read = await ground.read(visitor, readings[(i + j) % 2] as VisitorNotifications);
              expect(read, `${visitor} after ${JSON.stringify(each)}`).to.deep.equal(ground.model.readBy(visitor));
            }
          }
          expect(faults).to.deep.equal([]);
        } finally {
          ground.end();
        }
      },
      { runs: CASES },
    );
  });
});
