import { expect } from 'chai';
import type { Redis } from 'ioredis';
import sinon from 'sinon';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { GroupLists } from '../../lib/notifications/group-lists.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { ListChanges } from '../../lib/notifications/list-changes.js';
import { ReadList } from '../../lib/notifications/read-list.js';
import { ReadMarks } from '../../lib/notifications/read-marks.js';
import { RecipientLists } from '../../lib/notifications/recipient-list.js';
import { parseList } from '../../lib/notifications/stored-list.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { whenReady } from '../../lib/redis/connect.js';
import { endConnection } from '../../lib/redis/end-connection.js';
import { notificationsKey, seenKey } from '../../lib/redis/keys.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const GROUP = 'everybody';
const KEY = notificationsKey('', GROUP);

describe('lists of groups that a process keeps', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  /** Counts what is followed. */
  class CountingChanges extends ListChanges {
    follows = 0;
    override follow(...args: Parameters<ListChanges['follow']>): () => void {
      this.follows++;
      return super.follow(...args);
    }
  }

  const open = async () => {
    const target = openTarget(redis.url);
    await whenReady(target.client, 5_000);
    const changes = new CountingChanges(target, '');
    const sources: string[] = [];
    const onRead = (source: string) => void sources.push(source);
    const lists = new GroupLists(target, new RecipientLists('', target.database), changes, onRead, () => {});
    opened.push(() => {
      changes.close();
      endConnection(target.client);
    });
    return { changes, lists, sources };
  };
  const openReading = () => {
    const limits = { timeoutMs: 2000, maxWaitMs: 2000, durable: undefined };
    const reading = new VisitorNotifications(
      redis.url,
      { namespace: '', earlier: 'unread', ...limits },
      { fault: () => {}, unanswered: () => {} },
    );
    opened.push(() => reading.close(0));
    return reading;
  };
  const ann = { subject: userSubject('ann', undefined), ttlSeconds: 60 };
  const marksOfAnn = async () => ((await client.hget(seenKey('', ann.subject), `g:${GROUP}`)) ?? '0').split(' ');
  const field = (position: number, title = 'x') => `${position} 9000000000000000 - ${JSON.stringify({ title })}`;

  it('are read again after a minute, whatever was told of them', async () => {
    const { lists, changes } = await open();
    const items = async () => (await lists.get(GROUP)).items.length;
    await until('it is listened to', async () => {
      await items();
      return changes.isHeard({ group: GROUP });
    });
    await items();
    await client.hset(KEY, 'a', field(1));
    expect(await items(), 'kept').to.equal(0);
    const startedMs = performance.now();
    // its clock begins with 0
    const clock = sinon.useFakeTimers({ toFake: ['performance'] });
    try {
      clock.tick(startedMs + 60_001);
      expect(await items()).to.equal(1);
    } finally {
      clock.restore();
    }
  });

  it('are listened to once, also where one is too long to be kept', async () => {
    const text = 'x'.repeat(600_000);
    for (let i = 0; i < 30; i++) await client.hset(KEY, `${i}`, field(i + 1, text));
    const { lists, changes, sources } = await open();
    await lists.get(GROUP);
    await until('it is listened to', () => changes.isHeard({ group: GROUP }));
    for (let i = 0; i < 3; i++) expect((await lists.get(GROUP)).items).to.have.length(30);
    expect([changes.follows, changes.size, new Set(sources)]).to.deep.equal([1, 1, new Set(['redis'])]);
  });

  it('are a thousand at most', async () => {
    const { lists, changes } = await open();
    await Promise.all(Array.from({ length: 1_001 }, async (_, i) => lists.get(`g${i}`)));
    expect(changes.size).to.equal(1_000);
  });

  it('are 16,777,216 characters at most, of all of them together', async () => {
    const text = 'x'.repeat(65_000);
    const groups = Array.from({ length: 30 }, (_, i) => `long-${i}`);
    for (const group of groups)
      await client.hset(
        notificationsKey('', group),
        Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`${i}`, field(i + 1, text)])),
      );
    const { lists, changes, sources } = await open();
    for (const group of groups) {
      await lists.get(group);
      await until('it is listened to', () => changes.isHeard({ group }));
      await lists.get(group);
    }
    sources.length = 0;
    for (const group of groups.toReversed()) await lists.get(group);
    expect(sources.filter((source) => source === 'cache')).to.have.length(25);
  });

  it('are not kept where changes were missed while they were read', async () => {
    const { lists, changes, sources } = await open();
    await lists.get(GROUP);
    await until('it is listened to', () => changes.isHeard({ group: GROUP }));
    const reading = lists.get(GROUP);
    // the connection that listens is lost, and is there again before the reply
    changes.emit('lost');
    changes.emit('ready');
    await reading;
    sources.length = 0;
    await lists.get(GROUP);
    await lists.get(GROUP);
    expect(sources).to.deep.equal(['redis', 'cache']);
  });

  it('are listened to as soon as that is allowed, where it was refused', async () => {
    await client.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>secret', '~*', '+@all');
    const url = new URL(redis.url);
    [url.username, url.password] = ['reader', 'secret'];
    const target = openTarget(url.href);
    opened.push(() => endConnection(target.client));
    await whenReady(target.client, 5_000);
    const changes = new ListChanges(target, '');
    opened.push(() => changes.close());
    const faults: string[] = [];
    changes.on('fault', ({ message }) => faults.push(message));
    changes.follow({ group: GROUP }, () => {});
    await until('it is refused', () => faults.length > 0);
    await client.call('ACL', 'SETUSER', 'reader', 'allchannels');
    await until('it is listened to', () => changes.isHeard({ group: GROUP }));
    expect(faults).to.have.length(1);
  });

  it('count as heard from the last SUBSCRIBE on, where one was given up and is followed anew at once', async () => {
    const { changes } = await open();
    changes.follow({ group: 'other' }, () => {});
    await until('there is a connection', () => changes.isHeard({ group: 'other' }));
    let ready = 0;
    changes.on('ready', () => ready++);
    changes.follow({ group: GROUP }, () => {})();
    changes.follow({ group: GROUP }, () => {});
    await until('it is listened to', () => changes.isHeard({ group: GROUP }));
    expect(ready).to.equal(1);
  });

  it('hide nothing that a server whose clock is behind publishes after a planned one was read', async () => {
    const nowUs = Date.now() * 1000;
    const reading = openReading();
    const unread = async () => {
      const read = await reading.read('unread', [GROUP], ann);
      return read?.lists.flatMap((list) => list.unread().map(({ id }) => id)).sort();
    };
    const last = nowUs - 9_000_000;
    await client.hset(KEY, ':', `1 ${last}`, 'first', field(last), 'planned', field(nowUs - 1_000_000));
    expect(await reading.markAll([GROUP], ann)).to.equal(true);
    expect(await unread()).to.deep.equal([]);
    // a new master's clock is two seconds behind
    await client.hset(KEY, ':', `1 ${nowUs - 3_000_000}`, 'next', field(nowUs - 3_000_000));
    await client.publish(`ss:changes:g.${GROUP}`, '{"type":"changed"}');
    await until('it is unread', async () => (await unread())?.join() === 'next');
    expect(await reading.mark('next', [GROUP], ann)).to.equal(true);
    expect(await unread()).to.deep.equal([]);
  });

  it('let go of the marks of planned ones, too, once something is published after them', async () => {
    const notifications = createNotifications({ redis: redis.url, maxPerGroup: 2 });
    opened.push(() => notifications.close());
    const reading = openReading();
    for (let i = 0; i < 6; i++) {
      const publishAt = new Date(Date.now() + 30);
      await notifications.publish({ group: GROUP }, { id: `${i}`, title: 'x', publishAt });
      await until('it is visible', async () => (await reading.mark(`${i}`, [GROUP], ann)) === true);
    }
    const [upTo, ...positions] = await marksOfAnn();
    expect(Number(upTo)).to.be.above(0);
    expect(positions.length).to.be.at.most(3);
    expect(await reading.markAll([GROUP], ann)).to.equal(true);
  });

  it('have marks that stay erased, where a read was under way meanwhile that would make them one', async () => {
    const target = openTarget(redis.url);
    opened.push(() => endConnection(target.client));
    await whenReady(target.client, 5_000);
    const marks = new ReadMarks(target, '', undefined, 2_000, () => {});
    const fields = Array.from({ length: 10 }, (_, i) => [`${i}`, field(i + 1)]).flat();
    const positions = new Set(Array.from({ length: 10 }, (_, i) => i + 1));
    const list = parseList([':', '1 10', ...fields]);
    await marks.raise(ann, [new ReadList(GROUP, `g:${GROUP}`, list, { upTo: 0, positions }, 0, 20)]);
    expect(await client.exists(seenKey('', ann.subject))).to.equal(0);
  });

  it('have marks that become one position where all before is read', async () => {
    const notifications = createNotifications({ redis: redis.url });
    opened.push(() => notifications.close());
    for (let i = 0; i < 20; i++) await notifications.publish({ group: GROUP }, { id: `${i}`, title: 'x' });
    const reading = openReading();
    for (let i = 0; i < 20; i++) expect(await reading.mark(`${i}`, [GROUP], ann)).to.equal(true);
    await until('they are one', async () => {
      await reading.read('unread', [GROUP], ann);
      return (await marksOfAnn()).length <= 9;
    });
    const read = await reading.read('unread', [GROUP], ann);
    expect(read?.lists[0]?.unread()).to.deep.equal([]);
  });
});
