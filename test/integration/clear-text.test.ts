import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
} from '../../lib/index.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { encodeId } from '../../lib/redis/keys.js';
import { OpenedStream } from '../support/event-source.js';
import { type Flavour, flavours, startServer } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';

const namespace = 'clinic:';
const itemSecret = 'a long secret of the site';

/** What the site's visitors do, and what it writes to them. None of these texts stands in Redis for another reason. */
const words = {
  page: '/wards/oncology-east',
  otherPage: '/leaflets/chemotherapy?id=hickman-line',
  comboPage: '/booking/psychiatrist',
  note: 'biopsy-result-4711',
  groupNote: 'visiting-hours-8822',
  ownNote: 'invoice-reminder-9933',
  user: 'kaminski.anna@example.org',
  group: 'patients-of-station-nine',
  title: 'Your-appointment-has-moved',
  wish: 'wheelchair-rental',
} as const;
type Word = keyof typeof words;

/**
 * The keys in which some of these words stand in clear, as docs/privacy.md says. A word in any other key is a leak, and where one of
 * these has no such word any longer, both lists are wrong.
 */
const inClear = {
  "the group's list of notifications": /^clinic:ss:notifications:/,
  "the user's own list of notifications": /^clinic:ss:\{.*\}:inbox$/,
  "a key of an application's command": /^clinic:ss:\{.*\}:own:/,
  'a message that waits in a stream': /^clinic:ss:stream:\{\d+\}$/,
  'the session itself': /^sess:/,
} as const;
type Place = keyof typeof inClear | `leaked in ${string}`;
type Found = Partial<Record<Place, readonly Word[]>>;

const expected: Found = {
  "the group's list of notifications": ['group', 'groupNote', 'title'],
  "the user's own list of notifications": ['ownNote', 'title'],
  "a key of an application's command": ['wish'],
  'the session itself': ['user'],
};

/** The texts by which a word would be recognized: as it is, encoded, and by what stands for it without a secret. */
function formsOf(word: string): string[] {
  const texts = [word, ...word.split(/[/?=@]/)].filter((text) => text.length > 5);
  const encoded = [...texts, encodeURIComponent(word), encodeId(word), encodeURI(word)];
  // base64 has another text for each of the three places at which a word may begin; its ends depend on what stands beside it
  const base64 = texts.flatMap((text) => [0, 1, 2].map((at) => base64At(at, text)));
  const hex = texts.map((text) => Buffer.from(text).toString('hex'));
  const unkeyed = [storedItems(undefined).of('', word), userSubject(word, undefined).slice(0, -1)];
  const base64url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const forms = [...encoded, ...base64, ...base64url, ...hex];
  return [...new Set([...forms, ...unkeyed])];
}

/** What of a text's base64 does not depend on what stands beside it, where `at` bytes are before it. */
const base64At = (at: number, text: string): string =>
  Buffer.from('\0'.repeat(at) + text)
    .toString('base64')
    .slice(at + 1, -4);

const forms = Object.entries(words).map(([word, text]) => [word as Word, formsOf(text)] as const);

const reads: Readonly<Record<string, (key: Buffer) => [command: string, ...args: (Buffer | string)[]]>> = {
  string: (key) => ['GET', key],
  hash: (key) => ['HGETALL', key],
  list: (key) => ['LRANGE', key, '0', '-1'],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, '0', '-1'],
  stream: (key) => ['XRANGE', key, '-', '+'],
};

const bytesOf = (reply: unknown): Buffer[] =>
  Array.isArray(reply) ? reply.flatMap(bytesOf) : Buffer.isBuffer(reply) ? [reply] : [];

/** All that a key is: its name, what DUMP gives, and its value, since DUMP compresses long texts. A filter of the module has a type of its own. */
async function textOf(client: Redis, key: Buffer): Promise<string> {
  const [dump, type] = await Promise.all([client.callBuffer('DUMP', key), client.type(key)]);
  const read = reads[type];
  if (!read && !/bloom/i.test(type) && type !== 'none') throw new Error(`a key of the type ${type}`);
  const value = read ? await client.callBuffer(...(read(key) as [string, Buffer])) : [];
  return [key, ...bytesOf(dump), ...bytesOf(value)].map((bytes) => bytes.toString('latin1')).join('\n');
}

class Scan {
  readonly found = new Map<Place, Set<Word>>();
  readonly keys = new Set<string>();
  constructor(readonly client: Redis) {}

  /** Looks at all that stands in Redis now. */
  async look(): Promise<void> {
    for (const key of (await this.client.callBuffer('KEYS', '*')) as Buffer[]) {
      const name = key.toString('latin1');
      this.keys.add(name.replace(/\{[^}]*\}/, '{}'));
      const text = await textOf(this.client, key);
      for (const [word, texts] of forms) if (texts.some((one) => text.includes(one))) this.#note(name, word);
    }
  }

  #note(key: string, word: Word): void {
    const [place] = Object.entries(inClear).find(([, pattern]) => pattern.test(key)) ?? [`leaked in ${key}`];
    this.found.set(place as Place, (this.found.get(place as Place) ?? new Set()).add(word));
  }

  get report(): Found {
    const sorted = [...this.found].map(([place, found]) => [place, [...found].sort()]);
    return Object.fromEntries(sorted) as Found;
  }
}

const commands = {
  wish: {
    keys: { wishlist: { merge: 'union' } },
    run: ({ payload, keys, redis }: { payload: string; keys: { wishlist?: string }; redis: Redis }) =>
      redis.sadd(keys.wishlist as string, payload),
  },
} as unknown as NonNullable<IntelligentSessionOptions['commands']>;

const ways: Readonly<Record<string, IntelligentSessionOptions>> = {
  embedded: { worker: 'embedded', commands },
  'embedded, identify()': { worker: 'embedded', commands, user: 'identify' },
  'pub/sub': { transport: 'pubsub' },
  'pub/sub, a list for each answer': { transport: 'pubsub', replies: 'list' },
  stream: { transport: 'stream' },
};

for (const flavour of flavours.filter(({ server }) => server === 'redis-7.0'))
  for (const [way, options] of Object.entries(ways))
    describe(`itemSecret: what stands in Redis in clear (${flavour.bloom}, ${way})`, () => itSays(flavour, options));

function itSays(flavour: Flavour, options: IntelligentSessionOptions): void {
  let redis: PrivateRedis;
  let client: Redis;
  const opened: (() => unknown)[] = [];
  before(async function () {
    redis = await startServer(this, flavour);
    client = new Redis(redis.url);
  });
  after(async () => {
    for (const close of opened.splice(0).reverse()) await close();
    client?.disconnect();
    await redis?.stop();
  });

  const open = async () => {
    const store = new RedisSessionStore({ redis: redis.url, user: userOf, itemSecret });
    const sessions = intelligentSession({
      ...{ redis: redis.url, namespace, secret: 'test', itemSecret, timeout: 5000, user: userOf },
      ...{ pages: { query: ['id'] }, notifications: { groups: () => [words.group] } },
      combos: [{ name: 'a-combo', pages: [words.page, words.comboPage], suggest: 'a leaflet' }],
      ...options,
    } as IntelligentSessionOptions);
    const app = express();
    app.use(sessions);
    app.get('/live', sessions.live());
    app.get('/ask', async ({ intelligence }, res) => {
      await intelligence.markNotificationSeen(words.note);
      const answers = {
        fresh: await intelligence.freshPages([words.page, words.comboPage]),
        notes: await intelligence.notifications([words.note]),
        combo: await intelligence.combo('a-combo'),
        listed: await intelligence.combo([words.page, words.comboPage]),
        suggestions: await intelligence.suggestions(),
        activity: (await intelligence.activity({ minutes: 60 }))?.length,
        wish: await intelligence.ask('wish', words.wish),
        explained: (await intelligence.explain()) !== undefined,
      };
      res.json({ ...answers, degraded: intelligence.degraded });
    });
    app.get('/notifications', async (req, res) => void res.json(await req.intelligence.notifications()));
    app.get('/read/:id', async (req, res) => {
      res.json(await req.intelligence.markNotificationSeen(req.params.id));
    });
    app.get('/read-all', async (req, res) => void res.json(await req.intelligence.markAllSeen()));
    app.get('/login', async (req, res) => {
      await req.session.regenerate();
      if (options.user === 'identify') req.intelligence.identify(words.user);
      else Object.assign(req.session, { user: words.user });
      res.json(await req.intelligence.pageview());
    });
    app.get(/.*/, async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
    const site = await Site.open(app);
    opened.push(
      () => sessions.close(),
      () => site.close(),
    );
    return { sessions, store, site };
  };

  it('a page, a notification, a group and a user are named in the keys of the documented list alone', async function () {
    this.timeout(60_000);
    const scan = new Scan(client);
    const { sessions, store, site } = await open();
    const notifications = createNotifications({ redis: redis.url, namespace, itemSecret });
    opened.push(() => notifications.close());
    const isStream = options.transport === 'stream';
    if (isStream) {
      const early = sessions.of({ user: words.user });
      early.send('wish', words.wish);
      early.send('mark-notification-seen', words.note);
      const pending = early.pageview(words.page);
      const lengths = async () => {
        const streams = await client.keys(`${namespace}ss:stream:*`);
        return Promise.all(streams.map((stream) => client.xlen(stream)));
      };
      await until('three messages wait', async () => (await lengths()).reduce((sum, length) => sum + length, 0) === 3);
      await scan.look();
      expect(scan.report, 'what waits').to.deep.equal({ 'a message that waits in a stream': ['wish'] });
      await startWorker();
      await pending;
    } else if (options.worker !== 'embedded') await startWorker();

    // When they are counted, it is noted that the site has a secret, without which nobody publishes to a user.
    const visitor = new Visitor(site.url);
    for (const page of [words.page, words.otherPage]) await visitor.json(page);
    await notifications.publish({ group: words.group }, { id: words.groupNote, title: words.title });
    await notifications.publish({ user: words.user }, { id: words.ownNote, title: words.title });
    expect(await visitor.json('/ask')).to.deep.include({
      fresh: [words.comboPage],
      notes: [{ id: words.note, seen: true }],
      degraded: false,
    });
    const live = await OpenedStream.open(`${site.url}/live`, { cookie: visitor.cookie });
    opened.push(() => live.close());
    await live.says(1);
    await scan.look();
    await visitor.json(words.comboPage);
    expect(await visitor.json(`/read/${words.groupNote}`)).to.equal(true);
    await live.says(0);
    await scan.look();

    await visitor.json('/login');
    await until('it was carried', async () => (await visitor.json(words.page)).previouslyVisited);
    await scan.look();
    expect(await visitor.json('/ask')).to.deep.include({
      ...{ fresh: [], combo: true, listed: true, suggestions: ['a leaflet'], explained: true, degraded: false },
    });
    expect((await visitor.json('/notifications')).map(({ id }: { id: string }) => id)).to.have.members([
      words.groupNote,
      words.ownNote,
    ]);
    expect(await visitor.json(`/read/${words.ownNote}`)).to.equal(true);
    expect(await visitor.json('/read-all')).to.equal(true);
    const phone = new Visitor(site.url);
    await phone.json('/login');
    await phone.json(words.otherPage);
    if (options.user !== 'identify') expect(await store.sessionsOf(words.user)).to.have.lengthOf(2);
    expect(await sessions.of({ user: words.user }).freshPages([words.page, '/new'])).to.deep.equal(['/new']);
    await scan.look();

    const kept = ['activity', 'pages', 'visited', 'notified', 'visited-items', 'notified-items', 'seen', 'own', 'gone'];
    expect([...scan.keys], 'it did look').to.include.members(kept.map((name) => `${namespace}ss:{}:${name}`));
    const { 'the session itself': _user, ...rest } = expected;
    const whole = options.user === 'identify' ? rest : expected;
    expect(scan.report).to.deep.equal({ ...whole, ...(isStream && { 'a message that waits in a stream': ['wish'] }) });
  });

  const startWorker = async () => {
    const { transport } = options;
    const worker = await createWorker({
      redis: redis.url,
      namespace,
      itemSecret,
      commands,
      ...(transport && { transport }),
    });
    opened.push(() => worker.close());
  };
}

const userOf = (session: unknown) => (session as { user?: string }).user;
