import { once } from 'node:events';
import { expect } from 'chai';
import calculateSlot from 'cluster-key-slot';
import type { SessionData } from 'express-session';
import { Redis } from 'ioredis';
import type { AclRole, AclScope } from '../../lib/acl/rights.js';
import { RedisSessionStore, type RedisSessionStoreOptions, type WorkerOptions } from '../../lib/index.js';
import { builtIn } from '../../lib/intelligence/commands.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { itemKeyKey, leaseKey, notificationsKey, ownKey, seenKey, streamKey } from '../../lib/redis/keys.js';
import {
  changesChannel,
  channelOf,
  formatRequestId,
  GROUP,
  inboxKey,
  requestOf,
} from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { Worker } from '../../lib/worker/worker.js';
import { type AclGround, NAMESPACE } from './acl-ground.js';
import { FaultyProxy } from './proxy.js';
import { viewsOf } from './views.js';
import { userKey } from './stores.js';

/** Something that roles do, each as a user with its own rights. It fails where Redis refuses what it needs. */
export interface Scenario {
  readonly title: string;
  readonly roles: readonly AclRole[];
  /** What the rights are made for, where that is not AclGround's default. */
  readonly scope: Partial<AclScope>;
  /** It runs on a Cluster, and only there. */
  readonly cluster?: true;
  run(ground: AclGround): Promise<void>;
}

/** A session that ends in `maxAgeMs`; by default it says nothing of its end. */
const data = (more: object, maxAgeMs?: number): SessionData =>
  ({
    cookie: maxAgeMs === undefined ? {} : { originalMaxAge: maxAgeMs, expires: new Date(Date.now() + maxAgeMs) },
    ...more,
  }) as unknown as SessionData;

function openStore(ground: AclGround, options: RedisSessionStoreOptions = {}): RedisSessionStore {
  const store = new RedisSessionStore({ ...(options.url ? {} : { redis: ground.as('serving') }), ...options });
  ground.closing(() => store.close());
  return store;
}

const read = async (store: RedisSessionStore, sid: string): Promise<SessionData & Record<string, unknown>> =>
  (await store.get(sid)) as SessionData & Record<string, unknown>;

async function saveAndEnd(ground: AclGround): Promise<void> {
  const store = openStore(ground);
  await Promise.all(['a', 'b'].map((sid) => store.set(sid, data({ n: 1 }))));
  const [session] = await Promise.all([read(store, 'a'), read(store, 'b')]);
  session.n = 2;
  await store.set('a', session);
  await ground.admin.script('FLUSH'); // so that the next save has to send its script's text
  await store.set('a', Object.assign(session, { n: 3 }));
  expect(await read(store, 'a')).to.include({ n: 3 });
  await store.touch('a', session);

  // a touch of a session that another request saved meanwhile
  await store.set('c', data({ n: 1 }, 60_000));
  const [mine, other] = [await read(store, 'c'), await read(store, 'c')];
  await store.set('c', Object.assign(other, { theirs: true }));
  await store.touch('c', Object.assign(mine, { cookie: data({}, 90_000).cookie }));
  expect(await read(store, 'c')).to.include({ theirs: true });

  // ids with a hash tag of their own, or with a lone brace, too
  for (const sid of ['a', '{x}y', 'a}b', '}']) {
    await store.set(sid, data({}));
    await store.destroy(sid);
    expect(await store.get(sid)).to.equal(null);
  }
  expect(await ground.admin.keys('ended:*')).to.have.lengthOf(4);
}

/** A new session's save whose answer is lost is made again. */
async function saveUnanswered(ground: AclGround): Promise<void> {
  const proxy = await FaultyProxy.open(ground.port);
  ground.closing(() => proxy.close());
  const url = String(ground.as('serving')).replace(/:\d+$/, proxy.url.slice(proxy.url.lastIndexOf(':')));
  const store = openStore(ground, { url });
  await store.get('none'); // so that it is connected
  const session = data({ n: 1 });
  proxy.holdAnswers();
  const failed = store.set('s', session).catch((error: Error) => error);
  await ground.until('it is stored', async () => (await ground.admin.exists('sess:s')) === 1);
  const ready = once(store.client, 'ready');
  proxy.cut();
  proxy.release();
  expect(await failed).to.be.an('error');
  await ready;
  await store.set('s', Object.assign(session, { n: 2 }));
  expect(await read(store, 's')).to.include({ n: 2 });
}

/** The store's option `user`. */
const user = (session: SessionData) => (session as { user?: string } & SessionData).user;

async function endUsersSessions(ground: AclGround): Promise<void> {
  const store = openStore(ground, { user, maxSessionsPerUser: 3 });
  for (const sid of ['a', 'b', 'c']) await store.set(sid, data({ user: 'robin' }, 60_000));
  expect(await store.sessionsOf('robin')).to.have.lengthOf(3);
  // as another process, which does not know that the session is noted as the user's
  const other = openStore(ground, { user });
  // The first note goes by the script's text, the second by its hash.
  for (const sid of ['a', 'c'])
    await other.touch(sid, Object.assign(await read(other, sid), { cookie: data({}, 9_000_000).cookie }));
  await store.destroy('b');
  expect(await store.destroyAllOf('robin')).to.equal(2);
  const lasting = openStore(ground, { user, disableTTL: true });
  await lasting.set('d', data({ user: 'sam' }));
  expect(await ground.admin.exists(userKey('sam'))).to.equal(1);
}

/** A session that can't be noted as its user's is taken back. */
async function undoUnnoted(ground: AclGround): Promise<void> {
  const store = openStore(ground, { user });
  await ground.admin.set(userKey('robin'), 'no hash');
  const failed = await store.set('a', data({ user: 'robin' })).catch((error: Error) => error);
  expect(failed).to.match(/WRONGTYPE/);
  expect(await store.get('a')).to.equal(null);
}

async function countSessions(ground: AclGround): Promise<void> {
  const store = openStore(ground, { user });
  for (const sid of ['a', 'b']) await store.set(sid, data({ user: 'robin' }));
  expect(await store.length()).to.equal(2);
  expect(await store.all()).to.have.lengthOf(2);
  await store.clear();
  expect(await ground.admin.keys('*sess:*')).to.deep.equal([]);
}

async function serveNear(ground: AclGround): Promise<void> {
  const store = openStore(ground, { nearCache: {} });
  const writer = openStore(ground);
  await writer.set('a', data({ n: 1 }));
  const near = async () => {
    await store.get('a');
    return /store_total\{event="near"\} [1-9]/.test(await store.metrics.metrics());
  };
  await ground.until('it is served from here', near);
  await writer.set('a', Object.assign(await read(writer, 'a'), { n: 2 }));
  await ground.until('the change is heard', async () => (await read(store, 'a')).n === 2);
}

async function hearExpiries(ground: AclGround): Promise<void> {
  await ground.admin.config('SET', 'notify-keyspace-events', 'Ex');
  const store = openStore(ground, { expiredEvents: true });
  const expired = once(store, 'expired');
  await ground.until('it listens', async () => Number(await ground.admin.pubsub('NUMPAT')) === 1);
  await store.set('a', data({}));
  await ground.admin.pexpire('sess:a', 1);
  expect(await expired).to.deep.equal(['a']);
}

/**
 * Options of a filter that needs the rarer commands: on plain Redis one of more than the first KB that a script reads, on
 * RedisBloom one that is full after ten items, since its second layer would be too big.
 */
const shapeOf = ({ scope }: AclGround) =>
  scope.server.bloom === 'module' ? { capacity: 10, expansion: 32_768 } : { capacity: 1000 };

/** Starts a worker, which is closed in the end even where it can't start. */
async function startWorker(ground: AclGround, options: WorkerOptions = {}): Promise<Worker> {
  const { transport } = ground.scope;
  const worker = new Worker({
    redis: ground.as('worker'),
    namespace: NAMESPACE,
    transport,
    ...(transport === 'stream' && { partitions: 1 }),
    ...options,
  });
  ground.closing(() => worker.close());
  return worker.start();
}

/** Starts a worker, and the executor by which a site asks it. */
async function startBoth(ground: AclGround, options: WorkerOptions = {}) {
  const { transport, replies } = ground.scope;
  const worker = await startWorker(ground, { ...shapeOf(ground), ...options });
  const serving = new RemoteExecutor(ground.as('serving'), {
    namespace: NAMESPACE,
    transport,
    replies,
    ...(transport === 'stream' && { partitions: 1 }),
  });
  ground.closing(() => serving.close());
  return { worker, serving };
}

/** Gives a function that asks and has to be answered; a subject that begins with `anonymous` is an anonymous visitor's. */
const asking = (serving: RemoteExecutor) => async (command: string, payload: unknown, sid: string) => {
  const isAnonymous = sid.startsWith('anonymous');
  const answer = await serving.ask(command, sid, payload, { ttlSeconds: 60, timeoutMs: 5000, isAnonymous });
  expect(answer, command).to.have.property('answered', true);
  return answer.answered ? answer.data : undefined;
};

async function askBuiltIns(ground: AclGround, serving: RemoteExecutor): Promise<void> {
  const ask = asking(serving);
  // the first page view renews what is kept beside the commands' keys
  const seen = seenKey(NAMESPACE, 'visitor');
  await ground.ask('hset', seen, '@', '1');
  await ground.ask('pexpire', seen, '30000');
  for (let i = 0; i < 12; i++) await ask('pageview', `/${i}`, 'visitor');
  expect(await ask('pageview', '/0', 'visitor')).to.include({ totalPages: 13, previouslyVisited: true });
  await ground.admin.script('FLUSH');
  expect(await ask('featuredpages', ['/0', '/new'], 'visitor')).to.deep.equal(['/new']);
  expect(await ask('combo', ['/0', '/1'], 'visitor')).to.equal(1);
  expect(await ask('activity', 5, 'visitor')).to.have.lengthOf(5);
  expect(await ask('mark-notification-seen', 'n', 'visitor')).to.equal(1);
  expect(await ask('notifications', ['n'], 'visitor')).to.deep.equal([{ id: 'n', seen: true }]);
  for (const page of ['/0', '/1']) await ask('pageview', page, 'anonymous');
  expect(await ask('mark-notification-seen', 'n', 'anonymous')).to.equal(1);
  expect(await ask('explain', '', 'visitor')).to.include({ pageViews: 13 });
  expect(await ask('carry', 'nobody', robin)).to.equal(0);
  expect(await ask('carry', 'anonymous', robin)).to.equal(1);
  expect(await ask('pageview', '/late', 'anonymous')).to.include({ totalPages: 3 });
  expect(await ask('featuredpages', ['/0', '/1', '/late'], robin)).to.deep.equal([]);
  // another visitor, who is carried to a user of whom something is kept
  await ask('pageview', '/other', 'anonymous-2');
  expect(await ask('carry', 'anonymous-2', robin)).to.equal(1);
}

const robin = userSubject('robin', undefined);

/** Every built-in command; then expiries are renewed, and what is known of a session is removed. */
async function askEverything(ground: AclGround, serving: RemoteExecutor): Promise<void> {
  await askBuiltIns(ground, serving);
  const { activity, gone } = commandKeys(NAMESPACE, 'visitor');
  const expiry = () => ground.ask<number>('pttl', activity);
  serving.renew('visitor', 3600); // a longer life than a page view said
  await ground.until('it is renewed', async () => (await expiry()) > 3_600_000);
  await serving.forget('nobody'); // by the same connection: the script's reply was read, too
  serving.renew('visitor', 7200); // by the script's hash, which is known now
  await ground.until('it is renewed again', async () => (await expiry()) > 7_200_000);
  void serving.forget('visitor');
  await ground.until('it is removed', async () => (await expiry()) === -2 && (await ground.ask('exists', gone)) === 1);
}

async function askByPubSub(ground: AclGround): Promise<void> {
  const { admin, scope } = ground;
  const { worker, serving } = await startBoth(ground, { commands: { shout: ({ payload }) => `${payload}!` } });
  await askEverything(ground, serving);
  expect(await asking(serving)('shout', 'hey', 'visitor')).to.equal('hey!');
  expect(await worker.isReady()).to.equal(true);
  // several messages of one turn go in one script
  await admin.script('FLUSH');
  await Promise.all([1, 2].map((n) => asking(serving)('pageview', '/', `other-${n}`)));

  // a filter's key holds what is no filter here: the command fails, and not for want of a right
  const { visited } = commandKeys(NAMESPACE, 'odd');
  if (scope.server.bloom === 'module') await admin.set(visited, 'ISBLOOM1 and more');
  else await admin.rpush(visited, 'no filter');
  expect(await serving.ask('featuredpages', 'odd', ['/'], { ttlSeconds: 60, timeoutMs: 5000 })).to.include({
    answered: false,
  });

  // an inbox that nobody drains keeps the newest 10,000 answers
  const full = inboxKey(NAMESPACE, 'nobody-drains');
  await admin.rpush(full, ...Array.from({ length: 10_000 }, () => 'old'));
  await admin.pexpire(full, 4900);
  const rid = formatRequestId({ id: 'x~1', replyTo: { inbox: 'nobody-drains' }, ttlSeconds: 60 });
  await admin.publish(channelOf(NAMESPACE, requestOf('pageview', 'full', rid)), '/');
  await ground.until('it is pushed', async () => (await admin.lindex(full, -1)) !== 'old');
  expect(await admin.llen(full)).to.equal(10_000);
}

/** The keys that the command `shout` declares, and how a login merges each. */
const OWN_KEYS = { add: 'sum', join: 'union', take: 'replace', tab: 'drop' } as const;
/** The payload of `shout`: commands of Redis, each on one of these keys. */
type Writes = readonly (readonly [command: string, name: string, ...args: string[]])[];
/** What only the visitor has before the login: one of them replaces the user's, the other is dropped. */
const ofVisitor: Writes = [
  ['RPUSH', 'take', 'a'],
  ['SET', 'tab', '1'],
];

/** What an application's commands keep, of every type, is carried, explained, renewed and removed. */
async function keepOwnKeys(ground: AclGround): Promise<void> {
  const { serving } = await startBoth(ground, {
    commands: {
      // it writes with all rights: what an application's command may do is not the worker's affair
      shout: {
        keys: Object.fromEntries(Object.entries(OWN_KEYS).map(([name, merge]) => [name, { merge }])),
        async run({ payload, keys }) {
          for (const [command, name, ...args] of JSON.parse(payload) as Writes)
            await ground.ask(command, keys[name] as string, ...args);
        },
      },
    },
  });
  const ask = asking(serving);
  const types: Writes[] = [
    [['SET', 'add', '1']],
    [['SET', 'add', '0.5']],
    [['HSET', 'add', 'a', '1', 'b', '0.5']],
    [['ZADD', 'add', '1', 'a']],
    [['SADD', 'join', 'a']],
    [['HSET', 'join', 'a', '1']],
    [['ZADD', 'join', '1', 'a']],
    [['PFADD', 'join', 'a']],
  ];
  for (const [i, writes] of types.entries()) {
    const subject = userSubject(`user ${i}`, undefined);
    await ask('shout', [...writes, ...ofVisitor], `of-${i}`);
    await ask('shout', writes, subject);
    await ask('carry', `of-${i}`, subject);
    expect((await ask('explain', '', subject)) as object)
      .to.have.property('ownKeys')
      .that.has.lengthOf(2);
    await ask('pageview', '/', subject);
  }
  await ask('shout', [['SADD', 'join', 'a']], 'of-0'); // comes after the login, so it is done for the user

  await ask('shout', [['SADD', 'join', 'a']], 'visitor');
  const key = ownKey(NAMESPACE, 'visitor', 'join');
  serving.renew('visitor', 3600);
  await ground.until('it is renewed', async () => (await ground.ask<number>('pttl', key)) > 3_600_000);
  void serving.forget('visitor');
  await ground.until('it is removed', async () => (await ground.ask('exists', key)) === 0);
}

async function askByLists(ground: AclGround): Promise<void> {
  const { serving } = await startBoth(ground, { commands: { shout: ({ payload }) => `${payload}!` } });
  await askEverything(ground, serving);
  expect(await asking(serving)('shout', 'hey', 'visitor')).to.equal('hey!');
}

/** After five time-outs the connection asks whether its server is still the master. */
async function openCircuit(ground: AclGround): Promise<void> {
  const silent = ground.admin.duplicate();
  ground.closing(() => silent.disconnect());
  await silent.psubscribe(`${NAMESPACE}*`); // hears as a worker does, and never answers
  const serving = new RemoteExecutor(ground.as('serving'), { namespace: NAMESPACE });
  ground.closing(() => serving.close());
  const opened = once(serving, 'circuit');
  for (let i = 0; i < 5; i++) await serving.ask('featuredpages', 'visitor', ['/'], { ttlSeconds: 60, timeoutMs: 1 });
  await opened;
  const heard = once(silent, 'pmessage');
  serving.send('pageview', 'visitor', '/last', { ttlSeconds: 60 }); // goes behind ROLE, which is done when this is heard
  await heard;
}

async function askByStream(ground: AclGround): Promise<void> {
  const { admin } = ground;
  const key = streamKey(NAMESPACE, 0);
  const entry = (page: string) => [
    'r1',
    requestOf('pageview', 'early', formatRequestId({ id: `x${page}`, replyTo: 'nobody', ttlSeconds: 60 })),
    'p',
    page,
  ];
  // what a worker that is gone had read and not finished, under a lease that lapses in a second
  await admin.set(leaseKey(NAMESPACE, 0), 'gone', 'PX', 9_000);
  await admin.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
  await admin.xadd(key, '*', ...entry('/1'));
  await admin.xreadgroup('GROUP', GROUP, 'gone', 'STREAMS', key, '>');
  const { worker, serving } = await startBoth(ground);
  await ground.until('it is taken over', async () => (await viewsOf(admin, NAMESPACE, 'early')) === 1);
  await askEverything(ground, serving);
  // a user whose data were erased is counted anew
  await serving.forget(robin);
  await asking(serving)('pageview', '/', robin);
  expect(await worker.isReady()).to.equal(true);
  const consumers = async () => JSON.stringify(await admin.call('XINFO', 'CONSUMERS', key, GROUP));
  await ground.until('who is gone is removed', async () => !(await consumers()).includes('"gone"'));
  // what it had read itself, on a connection that was lost
  await admin
    .multi()
    .xadd(key, '*', ...entry('/2'))
    .xreadgroup('GROUP', GROUP, worker.id, 'STREAMS', key, '>')
    .exec();
  await cutBlocked(admin, 'xreadgroup');
  await ground.until('it is found again', async () => (await viewsOf(admin, NAMESPACE, 'early')) === 2);
  await admin.script('FLUSH');
  await asking(serving)('pageview', '/', 'visitor');
}

/** Ends the connection that is blocked in a command. */
async function cutBlocked(admin: Redis, command: string): Promise<void> {
  const list = String(await admin.client('LIST'));
  const id = list.split('\n').find((line) => line.includes(` cmd=${command} `));
  expect(id, 'a blocked connection').to.be.a('string');
  await admin.client('KILL', 'ID', /id=(\d+)/.exec(id as string)?.[1] as string);
}

/** Publishes one message of each built-in command: the worker hears each. */
async function publishAll(ground: AclGround): Promise<void> {
  const { scope } = ground;
  const publisher = ground.client('publisher');
  expect(await publisher.ping()).to.equal('PONG');
  for (const [i, command] of [...builtIn.keys()].entries()) {
    const rid = formatRequestId({ id: `x~${i}`, replyTo: 'nobody', ttlSeconds: 60 });
    const channel = channelOf(NAMESPACE, requestOf(command, 'v', rid), scope.db);
    expect(await publisher.publish(channel, '/'), command).to.equal(1);
  }
}

async function publish(ground: AclGround): Promise<void> {
  await startWorker(ground);
  await publishAll(ground);
  await ground.until('it is counted', async () => (await viewsOf(ground.admin, NAMESPACE, 'v')) === 1);
}

/** Adds to a stream as WIRE.md says: asks for its length and bytes, and whether a worker reads it, then adds the message. */
async function addToStream(ground: AclGround): Promise<void> {
  const { admin } = ground;
  await startWorker(ground);
  const publisher = ground.client('publisher');
  const key = streamKey(NAMESPACE, 0);
  expect(await publisher.xlen(key)).to.equal(0);
  expect(await publisher.memory('USAGE', key)).to.be.a('number');
  expect(await publisher.exists(leaseKey(NAMESPACE, 0))).to.equal(1);
  const rid = formatRequestId({ id: 'x~1', replyTo: 'nobody', ttlSeconds: 60 });
  await publisher.xadd(key, '*', 'r1', requestOf('pageview', 'v', rid), 'p', '/');
  await ground.until('the worker lets it expire', async () => (await admin.pttl(key)) > 0);
  await ground.until('it is counted', async () => (await viewsOf(admin, NAMESPACE, 'v')) === 1);
}

/** All that a publisher of notifications does, on one connection without and on one with `durable`. */
async function publishNotifications(ground: AclGround): Promise<void> {
  const options = { redis: ground.as('notifications'), namespace: NAMESPACE, maxPerGroup: 2 };
  const notifications = createNotifications(options);
  const durable = createNotifications({ ...options, durable: { timeoutMs: 100 } });
  ground.closing(() => notifications.close());
  ground.closing(() => durable.close());
  const faults: Error[] = [];
  notifications.on('fault', (error) => faults.push(error));
  for (const to of [{ group: 'all' }, { user: 'robin' }]) {
    for (const id of ['one', 'two', 'three']) await notifications.publish(to, { id, title: id });
    expect(await notifications.edit(to, 'two', { title: 'again' }, { again: true })).to.equal(true);
    expect(await notifications.remove(to, 'three')).to.equal(true);
    expect(await notifications.list(to)).to.have.lengthOf(1);
    const error = await durable.publish(to, { id: 'two', title: 'again' }).catch((caught: Error) => caught);
    if (!ground.isCluster)
      expect(error)
        .to.have.property('message')
        .that.matches(/0 of 1 replicas/);
  }
  expect(faults).to.deep.equal([]);
}

async function clusterNotifications(ground: AclGround): Promise<void> {
  await publishNotifications(ground);
  const notifications = createNotifications({ redis: ground.as('notifications'), namespace: NAMESPACE });
  ground.closing(() => notifications.close());
  const key = notificationsKey(NAMESPACE, 'moving');
  await whileMoving(ground, key, async () => {
    expect(await notifications.list({ group: 'moving' })).to.deep.equal([]);
  });
}

/** All that a site does whose visitors read notifications. */
async function readNotifications(ground: AclGround): Promise<void> {
  const publisher = createNotifications({ redis: ground.as('notifications'), namespace: NAMESPACE });
  ground.closing(() => publisher.close());
  const open = (faults: string[], durable?: { replicas: number; timeoutMs: number }) => {
    const limits = { timeoutMs: 2000, maxWaitMs: 2000, durable };
    const options = { namespace: NAMESPACE, earlier: 'read', ...limits } as const;
    const reading = new VisitorNotifications(ground.as('serving'), options, {
      fault: (error) => faults.push(error.message),
      unanswered: (method, why) => faults.push(`${method}: ${why}`),
    });
    ground.closing(() => reading.close(0));
    return reading;
  };
  const [faults, notDurable]: [string[], string[]] = [[], []];
  const reading = open(faults);
  const asRobin = { subject: robin, ttlSeconds: 60 };
  const groups = ['all'];
  await publisher.publish({ group: 'all' }, { id: 'one', title: 'One' });
  await publisher.publish({ user: 'robin' }, { id: 'own', title: 'Own' });
  await ground.until('lists are kept', async () => {
    expect(await reading.read('unread', groups, asRobin)).to.have.nested.property('lists.length', 2);
    return /lists_total\{source="cache"\} [1-9]/.test(await reading.metrics.registry.metrics());
  });
  expect(await reading.mark('own', groups, asRobin)).to.equal(true);
  expect(await reading.markAll(groups, asRobin)).to.equal(true);
  const visitor = { subject: 'reads-first', ttlSeconds: 60 };
  expect(await reading.mark('one', groups, visitor), 'it was there before the visitor').to.equal(false);
  const later = await publisher.publish({ group: 'all' }, { title: 'Later' });
  await ground.until('it is marked', async () => (await reading.mark(later, groups, visitor)) === true);
  expect(await reading.carry(visitor.subject, asRobin)).to.equal(true);
  expect(await reading.read('unread', groups, visitor)).to.have.nested.property('lists.length', 2);

  const told: string[] = [];
  const unfollow = reading.changes.follow({ subject: robin }, ({ type }) => void told.push(type));
  await ground.until('the user is listened to', () => reading.changes.isHeard({ subject: robin }));
  await publisher.publish({ user: 'robin' }, { id: 'newest', title: 'Newest' });
  await open(notDurable, { replicas: 5, timeoutMs: 100 }).mark('newest', groups, asRobin);
  expect(notDurable.join()).to.match(/of 5 replicas/);
  await ground.until('what is read is heard of', () => told.includes('read'));
  unfollow();
  const channel = changesChannel(NAMESPACE, { subject: robin }, ground.scope.db);
  if (!ground.isCluster)
    await ground.until('nobody listens', async () => (await ground.admin.pubsub('NUMSUB', channel))[1] === 0);
  expect(faults).to.deep.equal([]);
}

/**
 * Processes with the former `itemSecret`, then others with the latest before it. Scripts are flushed between, so that each
 * process has to send its script's text after the hash.
 */
async function keyItems(ground: AclGround): Promise<void> {
  const [former, latest] = ['the former item secret', 'the latest item secret'];
  const { transport, replies } = ground.scope;
  const common = { namespace: NAMESPACE, itemSecret: [latest, former] };
  const early = createNotifications({ redis: ground.as('notifications'), namespace: NAMESPACE, itemSecret: former });
  ground.closing(() => early.close());
  expect(await early.publish({ user: 'robin' }, { id: 'early', title: 'Early' })).to.equal('early');
  await ground.admin.script('FLUSH');
  await startWorker(ground, { itemSecret: former });
  // a worker with named combos and no secret asks whether there is one
  await startWorker(ground, { combos: [{ name: 'one', pages: ['/a'] }] });
  await ground.admin.script('FLUSH');
  const serving = new RemoteExecutor(ground.as('serving'), { ...common, transport, replies });
  ground.closing(() => serving.close());
  await serving.itemKey.settled();
  expect(await asking(serving)('pageview', '/a', 'visitor')).to.include({ totalPages: 1 });
  const key = itemKeyKey(NAMESPACE);
  const fields = () => ground.ask<string[]>('hkeys', key);
  const stored = (await fields()).filter((field) => !/^(version|root)$/.test(field));
  expect(stored).to.have.lengthOf(1);
  await ground.ask('hdel', key, ...stored);
  await ground.admin.script('FLUSH');
  const notifications = createNotifications({ redis: ground.as('notifications'), ...common });
  ground.closing(() => notifications.close());
  expect(await notifications.publish({ user: 'robin' }, { id: 'one', title: 'One' })).to.equal('one');
  expect(await fields()).to.include.members(stored);
}

async function useDatabase(ground: AclGround): Promise<void> {
  const { worker, serving } = await startBoth(ground);
  await askBuiltIns(ground, serving);
  expect(await worker.isReady()).to.equal(true);
  await publishAll(ground);
  await publishNotifications(ground);
  await readNotifications(ground);
}

/** Does something while a key's slot is on its way to another node. */
async function whileMoving(ground: AclGround, key: string, act: () => Promise<void>): Promise<void> {
  const slot = calculateSlot(key);
  const nodes = ground.ports.slice(0, ground.masters).map((port) => new Redis({ port, protocol: 2 }));
  for (const node of nodes) ground.closing(() => node.disconnect());
  const ids = await Promise.all(nodes.map((node) => node.call('CLUSTER', 'MYID') as Promise<string>));
  const from = Math.floor((slot * nodes.length) / 16_384);
  const to = (from + 1) % nodes.length;
  await nodes[to]?.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from] as string);
  await nodes[from]?.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to] as string);
  try {
    await act();
  } finally {
    for (const node of nodes) await node.call('CLUSTER', 'SETSLOT', slot, 'STABLE');
  }
}

async function clusterSessions(ground: AclGround): Promise<void> {
  const store = openStore(ground, { user });
  for (const sid of ['a', 'b']) await store.set(sid, data({ user: 'robin' }, 60_000));
  const session = await read(store, 'a');
  await store.set('a', Object.assign(session, { n: 1 }));
  expect(await store.destroyAllOf('robin')).to.equal(2);
  await whileMoving(ground, 'sess:moving', async () => void expect(await store.get('moving')).to.equal(null));
}

async function clusterMessages(ground: AclGround): Promise<void> {
  const { worker, serving } = await startBoth(ground);
  await askEverything(ground, serving);
  expect(await worker.isReady()).to.equal(true);
  const { activity } = commandKeys(NAMESPACE, 'moving');
  await whileMoving(ground, activity, async () => {
    expect(await asking(serving)('activity', 5, 'moving')).to.have.lengthOf(5);
  });
}

const servingAndWorker = ['serving', 'worker'] as const;
const withUsers = new Set(['users'] as const);
const withNotifications = new Set(['notifications'] as const);
const keyingRoles = ['serving', 'worker', 'notifications'] as const;
const withItemSecret = new Set(['item-secret'] as const);

export const scenarios: Readonly<Record<string, Scenario>> = {
  sessions: { title: 'sessions are read, saved, touched and ended', roles: ['serving'], scope: {}, run: saveAndEnd },
  unanswered: { title: 'a save without an answer is made again', roles: ['serving'], scope: {}, run: saveUnanswered },
  users: {
    title: 'a user’s sessions are noted, found and ended',
    roles: ['serving'],
    scope: { store: withUsers },
    run: endUsersSessions,
  },
  undo: {
    title: 'a session that can’t be noted is taken back',
    roles: ['serving'],
    scope: { store: withUsers },
    run: undoUnnoted,
  },
  itemKey: {
    title: 'pages and users are keyed, by a secret and the one before it',
    roles: keyingRoles,
    scope: { store: withItemSecret },
    run: keyItems,
  },
  clusterItemKey: {
    title: 'pages and users are keyed in a Cluster',
    roles: keyingRoles,
    scope: { cluster: true, store: withItemSecret },
    cluster: true,
    run: keyItems,
  },
  scan: {
    title: 'sessions are counted, listed and cleared',
    roles: ['serving'],
    scope: { store: new Set(['users', 'scan'] as const) },
    run: countSessions,
  },
  near: {
    title: 'the near cache hears of changes',
    roles: ['serving'],
    scope: { store: new Set(['near-cache'] as const) },
    run: serveNear,
  },
  expired: {
    title: 'expired sessions are heard of',
    roles: ['serving'],
    scope: { store: new Set(['expired-events'] as const) },
    run: hearExpiries,
  },
  pubsub: {
    title: 'everything is asked and answered by pub/sub',
    roles: servingAndWorker,
    scope: { commands: ['shout'] },
    run: askByPubSub,
  },
  lists: {
    title: 'everything is answered in the white paper’s lists',
    roles: servingAndWorker,
    scope: { replies: 'list', commands: ['shout'] },
    run: askByLists,
  },
  ownKeys: {
    title: 'keys of an application’s commands are kept, carried, explained and removed',
    roles: servingAndWorker,
    scope: { commands: ['shout'] },
    run: keepOwnKeys,
  },
  circuit: { title: 'a circuit opens', roles: ['serving'], scope: {}, run: openCircuit },
  stream: {
    title: 'everything is asked by a stream, and taken over',
    roles: servingAndWorker,
    scope: { transport: 'stream' },
    run: askByStream,
  },
  publisher: { title: 'a publisher’s message is counted', roles: ['publisher', 'worker'], scope: {}, run: publish },
  adder: {
    title: 'a publisher’s message in a stream is counted',
    roles: ['publisher', 'worker'],
    scope: { transport: 'stream' },
    run: addToStream,
  },
  notifications: {
    title: 'notifications are published, edited, removed and listed',
    roles: ['notifications'],
    scope: {},
    run: publishNotifications,
  },
  reader: {
    title: 'notifications are read, marked, carried and listened to',
    roles: ['serving', 'notifications'],
    scope: { store: withNotifications },
    run: readNotifications,
  },
  database: {
    title: 'another database is used',
    roles: ['serving', 'worker', 'publisher', 'notifications'],
    scope: { db: 2, store: withNotifications },
    run: useDatabase,
  },
  clusterSessions: {
    title: 'sessions and users in a Cluster, and a slot that moves',
    roles: ['serving'],
    scope: { store: withUsers },
    cluster: true,
    run: clusterSessions,
  },
  clusterNotifications: {
    title: 'notifications in a Cluster, and a slot that moves',
    roles: ['notifications'],
    scope: {},
    cluster: true,
    run: clusterNotifications,
  },
  clusterReader: {
    title: 'notifications are read, marked, carried and listened to in a Cluster',
    roles: ['serving', 'notifications'],
    scope: { store: withNotifications },
    cluster: true,
    run: readNotifications,
  },
  clusterPubSub: {
    title: 'everything is asked by pub/sub in a Cluster',
    roles: servingAndWorker,
    scope: {},
    cluster: true,
    run: clusterMessages,
  },
  clusterOwnKeys: {
    title: 'keys of an application’s commands in a Cluster',
    roles: servingAndWorker,
    scope: { commands: ['shout'] },
    cluster: true,
    run: keepOwnKeys,
  },
  clusterStream: {
    title: 'everything is asked by streams in a Cluster',
    roles: servingAndWorker,
    scope: { transport: 'stream' },
    cluster: true,
    run: clusterMessages,
  },
};
