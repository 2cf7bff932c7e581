import { expect } from 'chai';
import type { Cluster, Redis } from 'ioredis';
import { markNotificationSeen } from '../../lib/intelligence/commands/mark-notification-seen/index.js';
import { notifications } from '../../lib/intelligence/commands/notifications/index.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { encodeId } from '../../lib/redis/keys.js';
import { loadScript } from '../../lib/redis/load-script.js';
import type { Executor } from '../../lib/serving/executor.js';
import { pageNames } from '../../middleware/page-name.js';
import { until } from '../support/until.js';

/** Where it is tried: what sends commands, with a worker behind it or none, and a client to look at the keys. */
export interface CarryGround {
  readonly client: Redis | Cluster;
  readonly serving: Executor;
  readonly itemSecret?: string | undefined;
}

let count = 0;
const HOUR = 3600;

/** What a login carries to the user, wherever Redis is and however messages travel. */
export function itCarriesWhatIsKnown(namespace: string, ground: () => CarryGround): void {
  const names = () => {
    const n = ++count;
    return { anonymous: `visitor-${n}`, user: userSubject(`user ${n}`, ground().itemSecret) };
  };
  const ask = async (command: string, subject: string, payload: unknown, ttlSeconds = HOUR): Promise<any> => {
    const isAnonymous = !subject.endsWith('~');
    const answer = await ground().serving.ask(command, subject, payload, {
      ttlSeconds,
      timeoutMs: 5000,
      isAnonymous,
    });
    if (!answer.answered) throw answer.error ?? new Error(answer.reason);
    return answer.data;
  };
  const carry = (user: string, anonymous: string) => ask('carry', user, encodeId(anonymous));
  const view = (subject: string, page: string) => ask('pageview', subject, page);
  const keysOf = async (subject: string) => {
    const keys = Object.values(commandKeys(namespace, subject));
    const there = await Promise.all(keys.map((key) => ground().client.exists(key)));
    return keys.filter((_, i) => there[i] === 1);
  };

  it('the views, pages, notifications and minutes of a visitor are the user’s after the login', async () => {
    const { anonymous, user } = names();
    for (const page of ['/a', '/b', '/a']) await view(anonymous, page);
    await ask('mark-notification-seen', anonymous, 'n1');
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await keysOf(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
    expect(await ask('featuredpages', user, ['/a', '/b', '/c'])).to.deep.equal(['/c']);
    expect(await ask('notifications', user, ['n1', 'n2'])).to.deep.equal([
      { id: 'n1', seen: true },
      { id: 'n2', seen: false },
    ]);
    const report = await view(user, '/b');
    expect(report).to.include({ totalPages: 4, uniquePages: 2, previouslyVisited: true });
    // a minute may have begun meanwhile
    expect(report.activityThisMinute || report.activity[4] === 1).to.equal(true);
    for (const key of await keysOf(user)) expect(await ground().client.pttl(key), key).to.be.above(0);
  });

  it('it is added to what the user had', async () => {
    const { anonymous, user } = names();
    for (const page of ['/a', '/b']) await view(user, page);
    await ask('mark-notification-seen', user, 'n1');
    for (const page of ['/b', '/c']) await view(anonymous, page);
    await ask('mark-notification-seen', anonymous, 'n2');
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await view(user, '/d')).to.deep.include({ totalPages: 5, uniquePages: 4, previouslyVisited: false });
    expect(await ask('featuredpages', user, ['/a', '/b', '/c', '/d', '/e'])).to.deep.equal(['/e']);
    const seen = await ask('notifications', user, ['n1', 'n2', 'n3']);
    expect(seen.map((one: { seen: boolean }) => one.seen)).to.deep.equal([true, true, false]);
  });

  it('also where a page or a notification has a name of the form of a keyed item', async () => {
    const { anonymous, user } = names();
    const odd = '#abcdefghijklmnopqrstuv';
    for (const page of ['/a', pageNames()(odd)]) await view(anonymous, page);
    const methods = { ask: (command: string, payload?: unknown) => ask(command, anonymous, payload) };
    const caller = { ...methods, context: { pageName: pageNames(), combos: [] } };
    expect(await markNotificationSeen.methods.markNotificationSeen.call(caller, odd)).to.equal(true);
    expect(await markNotificationSeen.methods.markNotificationSeen.call(caller, 'n1')).to.equal(true);
    const seen = (ids: string[]) => notifications.methods.notifications.call(caller, ids);
    expect(await seen([odd, 'n2'])).to.deep.equal([
      { id: odd, seen: true },
      { id: 'n2', seen: false },
    ]);
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await ask('featuredpages', user, ['/a', pageNames()(odd), '/b'])).to.deep.equal(['/b']);
    expect(await ask('notifications', user, ['n1', 'n2'])).to.deep.equal([
      { id: 'n1', seen: true },
      { id: 'n2', seen: false },
    ]);
  });

  it('an item that nobody here has keyed costs no other', async () => {
    const { anonymous, user } = names();
    for (const page of ['/a', '#abcdefghijklmnopqrstuv', '/b']) await view(anonymous, page);
    ground().serving.send('carry', user, encodeId(anonymous), { ttlSeconds: HOUR });
    await until('the others are carried', async () => (await ask('featuredpages', user, ['/a', '/b'])).length === 0);
  });

  it('a second message changes nothing', async () => {
    const { anonymous, user } = names();
    await view(anonymous, '/a');
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await carry(user, anonymous)).to.equal(0);
    expect(await view(user, '/a')).to.include({ totalPages: 2, uniquePages: 1 });
  });

  it('a carrying that ended half-way is finished by the next message, once', async () => {
    const { anonymous, user } = names();
    await view(anonymous, '/a');
    await ask('mark-notification-seen', anonymous, 'n1');
    const { carried, gone, activity, pages, visited, notified, ...items } = commandKeys(namespace, anonymous);
    const keys = [carried, gone, activity, pages, visited, items['visited-items'], notified, items['notified-items']];
    const setAside = loadScript('lib/intelligence/commands/carry/set-aside.lua');
    await ground().client.eval(setAside, keys.length, ...(keys as string[]), user, 60_000, 60_000);
    expect(await view(user, '/b')).to.include({ totalPages: 1 });
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await carry(user, anonymous)).to.equal(0);
    expect(await view(user, '/a')).to.include({ totalPages: 3, uniquePages: 2, previouslyVisited: true });
    expect(await ask('notifications', user, ['n1'])).to.deep.equal([{ id: 'n1', seen: true }]);
  });

  it('what comes late for the visitor is the user’s, and counted once', async () => {
    const { anonymous, user } = names();
    await view(anonymous, '/a');
    await carry(user, anonymous);
    expect(await view(anonymous, '/late')).to.include({ totalPages: 2, previouslyVisited: false });
    await ask('mark-notification-seen', anonymous, 'late');
    expect(await view(user, '/late')).to.include({ totalPages: 3, uniquePages: 2, previouslyVisited: true });
    expect(await ask('notifications', user, ['late'])).to.deep.equal([{ id: 'late', seen: true }]);
    expect(await keysOf(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
  });

  it('what comes late for the visitor lives as long as what else is kept of the user', async () => {
    const { anonymous, user } = names();
    const days = 90 * 86_400;
    const { activity, visited, pages, notified } = commandKeys(namespace, user);
    const livesAsLong = async (key: string) => (await ground().client.pttl(key)) > (days - HOUR) * 1000;
    await view(anonymous, '/a');
    await ask('carry', user, encodeId(anonymous), days);
    await ask('pageview', user, '/b', days);
    await until('the user is kept for so long', () => livesAsLong(activity)); // by lists it is renewed after the answer
    await ask('mark-notification-seen', anonymous, 'late');
    await ground().client.unlink(visited, pages); // as if they had been evicted
    await view(anonymous, '/c');
    for (const key of [visited, pages, notified]) expect(await livesAsLong(key), key).to.equal(true);
  });

  it('no message ends sooner what is kept of the user', async () => {
    const { anonymous, user } = names();
    for (const page of ['/a', '/b']) await view(user, page);
    await ask('mark-notification-seen', user, 'n1');
    await view(anonymous, '/b');
    await ask('mark-notification-seen', anonymous, 'n2');
    const answer = await ground().serving.ask('carry', user, encodeId(anonymous), { ttlSeconds: 1, timeoutMs: 5000 });
    expect(answer).to.deep.equal({ answered: true, data: 1 });
    const { gone: _gone, ...kept } = commandKeys(namespace, user);
    for (const key of await keysOf(user))
      if (Object.values(kept).includes(key)) expect(await ground().client.pttl(key), key).to.be.above(HOUR * 900);
  });

  it('what fails leaves nothing that stays for ever, and is carried when it is mended', async () => {
    const { anonymous, user } = names();
    const { pages, carried } = commandKeys(namespace, user);
    await view(anonymous, '/a');
    await ground().client.set(pages, 'no HyperLogLog', 'EX', HOUR);
    expect(await carry(user, anonymous).catch((error: Error) => error)).to.be.instanceOf(Error);
    expect(await ground().client.pttl(carried as string)).to.not.equal(-1);
    await ground().client.unlink(pages);
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await view(user, '/a')).to.include({ totalPages: 2, uniquePages: 1, previouslyVisited: true });
  });

  it('nothing of one user gets to another, by whatever message', async () => {
    const { anonymous, user } = names();
    const { user: other } = names();
    await view(anonymous, '/a');
    await carry(user, anonymous);
    expect(await carry(other, anonymous)).to.equal(0);
    await view(user, '/b');
    for (const named of [user, user.replace('~', '%7E'), user.replace('~', '%257E')]) {
      const given = await ask('carry', other, named).catch((error: Error) => error);
      if (given !== 0) expect(given, named).to.be.instanceOf(Error);
    }
    expect(await view(user, '/b')).to.include({ totalPages: 3, uniquePages: 2 });
    expect(await view(other, '/a')).to.include({ totalPages: 1, previouslyVisited: false });
  });

  it('what was erased is not carried', async () => {
    const { anonymous, user } = names();
    await view(anonymous, '/a');
    void ground().serving.forget(anonymous);
    await view(user, '/b');
    expect(await carry(user, anonymous)).to.equal(0);
    expect(await view(user, '/a')).to.include({ totalPages: 2, previouslyVisited: false });
  });

  it('a hundred logins of one user leave filters that answer, and as many pages as there were', async function () {
    this.timeout(60_000);
    const { user } = names();
    for (let login = 0; login < 100; login++) {
      const { anonymous } = names();
      await Promise.all([view(anonymous, `/own-${login}`), view(anonymous, '/shared')]);
      expect(await carry(user, anonymous)).to.equal(1);
    }
    const report = await view(user, '/shared');
    expect(report).to.include({ totalPages: 201, previouslyVisited: true });
    expect(report.uniquePages).to.be.within(97, 104);
    const pages = Array.from({ length: 100 }, (_, i) => `/own-${i}`);
    expect(await ask('featuredpages', user, pages)).to.deep.equal([]);
    const never = Array.from({ length: 500 }, (_, i) => `/never-${i}`);
    expect((await ask('featuredpages', user, never)).length).to.be.above(485);
  });
}
