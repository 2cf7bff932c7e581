import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import {
  createBloomFilter,
  createWorker,
  intelligentSession,
  OptionError,
  RedisSessionStore,
} from '../../lib/index.js';
import { createNotifications } from '../../lib/notifications/index.js';
import * as misplaced from '../../lib/options/misplaced-options.js';
import { resolveStoreOptions, schema as storeSchema } from '../../lib/session/options.js';
import { resolveWorkerOptions, schema as workerSchema } from '../../lib/worker/options.js';
import { schema as middlewareSchema } from '../../middleware/options.js';
import { resolveOptions } from '../../middleware/resolve-options.js';

/** As ioredis-mock: it acts as a client, and keeps its data in the process. */
class Imitation extends EventEmitter {
  readonly options = { host: 'localhost', port: 6379 };
  duplicate(): this {
    return this;
  }
}

const sessions = (options: object) => intelligentSession({ secret: 'x', ...options } as never);
const session = (options: object) => sessions({ session: options });

/** What is found wrong after all else was checked, and before anything is connected. */
const wrongAtLast = { cookie: { maxAge: 'x' as never } };

/** Commands that declare such keys. */
const withKeys = (keys: unknown, others: unknown = {}) =>
  createWorker({ commands: { add: { keys, run: () => 1 }, take: { keys: others, run: () => 1 } } as never });

describe('options', () => {
  const wrong: [string, () => unknown, RegExp][] = [
    ['an unknown option', () => intelligentSession({ sekret: 'x' } as never), /no option "sekret"/],
    ['a time-out that is no number', () => intelligentSession({ timeout: '1' as never }), /"timeout".*whole number/],
    ['a namespace with a glob', () => intelligentSession({ namespace: '*' }), /"namespace"/],
    ['a combo without pages', () => intelligentSession({ combos: [{ name: 'a', pages: [] }] }), /"combos\.0\.pages"/],
    [
      'a track of another kind',
      () => intelligentSession({ track: 'routes' as never }),
      /"track".*"route" or a function/,
    ],
    ['a parameter without a name', () => intelligentSession({ pages: { query: [''] } }), /"pages\.query\.0"/],
    ['an unknown option of pages', () => intelligentSession({ pages: { stric: true } as never }), /"pages\.stric"/],
    ['bots by a list', () => intelligentSession({ bots: ['curl'] as never }), /"bots" should be false or a function/],
    [
      'a consent for all',
      () => intelligentSession({ consent: true as never }),
      /"consent" should be a function, got true/,
    ],
    ['a ttl below 1', () => new RedisSessionStore({ ttl: 0 }), /"ttl"/],
    ['a URL of something else', () => new RedisSessionStore({ redis: 'http://x' }), /redis:\/\//],
    ['a glob that is too long', () => createWorker({ sessionGlob: 'a'.repeat(300) }), /"sessionGlob"/],
    ['a command that is built in', () => createWorker({ commands: { pageview: () => 1 } }), /built in/],
    // what people give in another place: the message says where it belongs
    ['a secret inside session', () => session({ secret: 'y' }), /"session\.secret" stands beside "session"/],
    ['a store inside session', () => session({ store: 'y' }), /"session\.store" stands beside "session"/],
    [
      'an unknown option of session',
      () => session({ resve: false }),
      /"session\.resve"; session may have cookie, genid/,
    ],
    // what express-session would take for true, or ignore
    ...['rolling', 'resave', 'saveUninitialized', 'proxy'].flatMap((name): typeof wrong =>
      ['no', 'false', 0, null].map((value) => [
        `${name}: ${JSON.stringify(value)}`,
        () => session({ [name]: value }),
        new RegExp(`"session\\.${name}" should be true or false`),
      ]),
    ),
    ['a name of a cookie that is a number', () => session({ name: 5 }), /"session\.name" should be a text/],
    ['an empty key', () => session({ key: '' }), /"session\.key" should be a text that is not empty/],
    ['a name that no cookie can have', () => session({ name: 'bad name;' }), /"session": .*name/],
    ['a key that no cookie can have', () => session({ key: 'bad name;' }), /"session": .*name/],
    ['an unset that is empty', () => session({ unset: '' }), /"session\.unset" should be "destroy" or "keep"/],
    ['a genid that is no function', () => session({ genid: 'x' }), /"session\.genid" should be a function/],
    ['days of users without users', () => sessions({ keepUsersForDays: 30 }), /"keepUsersForDays" needs option "user"/],
    ['a cookie at the top', () => sessions({ cookie: {} }), /"cookie" belongs in "session"/],
    ['resave at the top', () => sessions({ resave: false }), /"resave" belongs in "session"/],
    ['a prefix at the top', () => sessions({ prefix: 'a:' }), /"prefix" belongs in "store"/],
    ['a host at the top', () => sessions({ host: 'x' }), /"host" belongs to Redis: redis: \{ host/],
    [
      'a worker’s option',
      () => sessions({ commands: {} }),
      /"commands" is without effect: it needs worker: 'embedded'/,
    ],
    ['redis inside store', () => sessions({ store: { redis: 'redis://x' } }), /"store\.redis" stands beside "store"/],
    [
      'a cookie of the store',
      () => new RedisSessionStore({ cookie: {} } as never),
      /"cookie" belongs to express-session/,
    ],
    ['a track of the worker', () => createWorker({ track: true } as never), /"track" belongs to intelligentSession/],
    // of a mode that was not chosen
    ['partitions without streams', () => sessions({ partitions: 4 }), /"partitions" is without effect.*'stream'/],
    [
      'a backlog without streams',
      () => sessions({ transport: 'pubsub', maxBacklog: 4 }),
      /"maxBacklog" is without effect/,
    ],
    ['connections without lists', () => sessions({ replyConnections: 4 }), /"replyConnections".*replies: 'list'/],
    [
      'filters without a worker',
      () => sessions({ bloom: 'module' }),
      /"bloom" is without effect: it needs worker: 'embedded'/,
    ],
    ['a worker’s partitions', () => createWorker({ partitions: 4 }), /"partitions" is without effect/],
    [
      'a touch that is off',
      () => new RedisSessionStore({ touchAfter: 9, disableTouch: true }),
      /"touchAfter" is without/,
    ],
    [
      'a lifetime of sessions that never expire',
      () => new RedisSessionStore({ maxLifetime: 9, disableTTL: true }),
      /"maxLifetime" is without effect: it needs disableTTL: false/,
    ],
    ['a lifetime of 0', () => sessions({ store: { maxLifetime: 0 } }), /"maxLifetime" should be a whole number from 1/],
    ['a lifetime in ms', () => sessions({ store: { maxLifetime: 1e12 } }), /"maxLifetime".* from 1 to 34560000/],
    // Redis
    ['an empty URL', () => sessions({ redis: '' }), /"redis" should be a URL as redis:.*got an empty text/],
    ['an address without redis://', () => sessions({ redis: '127.0.0.1' }), /"redis" should be a URL as redis:/],
    ['a port', () => sessions({ redis: 6400 }), /"redis" should be a URL.*a port alone is \{ port: 6400 \}/],
    ['a promise of a client', () => sessions({ redis: Promise.resolve() }), /"redis".*await it first/],
    ['null', () => new RedisSessionStore({ client: null as never }), /"client" should be a URL.*got null/],
    ['what has no connection', () => sessions({ redis: new Imitation() }), /"redis" is a client without a connection/],
    ['the same for a worker', () => createWorker({ redis: new Imitation() as never }), /a client without a connection/],
    [
      'a client and a URL',
      () => sessions({ client: { port: 1 }, url: 'redis://x' }),
      /"redis", "client" and "url" are one/,
    ],
    [
      'a worker’s redis and client',
      () => createWorker({ redis: 'redis://x', client: { port: 1 } }),
      /"redis", "client" and "url" are one/,
    ],
    [
      'a store’s redis and url',
      () => new RedisSessionStore({ redis: 'redis://x', url: 'redis://x' }),
      /"redis", "client" and "url" are one/,
    ],
    ['a URL of something else as url', () => sessions({ url: 'http://x' }), /"url" should be a URL as redis:/],
    [
      'a number as a worker’s client',
      () => createWorker({ client: 6400 as never }),
      /"client" should be a URL.*port alone/,
    ],
    // other kinds
    [
      'a page as track',
      () => sessions({ track: '/a' }),
      /"track" should be true, false, "route" or a function, got a text/,
    ],
    [
      'an empty secret',
      () => sessions({ secret: '' }),
      /"secret" should be a text that is not empty.*got an empty text/,
    ],
    ['a number as secret', () => sessions({ secret: 4711 }), /"secret" should be a text.*got a number/],
    [
      'a combo’s page',
      () => sessions({ combos: [{ name: 'a', page: '/a' }] }),
      /no option "combos\.0\.page".*name, pages/,
    ],
    ['a store by name', () => sessions({ store: 'redis' }), /"store" should be a store of express-session's kind/],
    ['a Map as store', () => sessions({ store: new Map() }), /"store" is no store.*get\(\), set\(\), destroy\(\)/],
    ['a text as options', () => intelligentSession('x' as never), /options should be an object, got a text/],
    ['a URL as a worker’s options', () => createWorker('redis://x' as never), /options should be an object/],
    ['a maxAge in words', () => session({ cookie: { maxAge: '1 day' } }), /"session": maxAge must be a number/],
    ['a sameSite that is none', () => session({ cookie: { sameSite: 'laks' } }), /"session": .*sameSite is invalid/],
    ['a name with a space', () => session({ name: 'my cookie' }), /"session": .*name is invalid/],
    [
      'a short secret of items',
      () => sessions({ itemSecret: 'short' }),
      /"itemSecret" should be a text of at least 16/,
    ],
    [
      'a near cache by true',
      () => sessions({ store: { nearCache: true } }),
      /"nearCache" should be an object, got true/,
    ],
    ['a log that is none', () => createWorker({ log: 'debug' as never }), /"log" should be an object with info\(\)/],
    ['a command with a bad name', () => createWorker({ commands: { 'A B': () => 1 } }), /command's name/],
    [
      'a command that is none',
      () => createWorker({ commands: { add: { keys: {} } as never } }),
      /"commands\.add" should be a function, or an object with keys and run\(\)/,
    ],
    ['a command without keys', () => withKeys(undefined), /"commands\.add\.keys" should be an object, got undefined/],
    ['a list of keys', () => withKeys(['cart']), /"commands\.add\.keys" should be an object, got a list/],
    [
      'an unknown part of a command',
      () => sessions({ worker: 'embedded', commands: { add: { keys: {}, run: () => 1, explain: true } } }),
      /"commands\.add\.explain" is none/,
    ],
    ['a key with a bad name', () => withKeys({ 'A:b': { merge: 'union' } }), /keys\.A:b": a key's name is 1 to 64 of/],
    ['a key of a built-in name', () => withKeys({ visited: { merge: 'union' } }), /keys\.visited": a built-in key/],
    [
      'a key that is a text',
      () => withKeys({ cart: 'union' }),
      /keys\.cart" should be an object with merge, got a text/,
    ],
    [
      'a key without a merge',
      () => withKeys({ cart: {} }),
      /cart\.merge" should be "union" or "sum" or .*got undefined/,
    ],
    [
      'an unknown merge',
      () => withKeys({ cart: { merge: 'Union' } }),
      /cart\.merge" should be "union" or .* got a text/,
    ],
    ['an unknown part of a key', () => withKeys({ cart: { merge: 'union', ttl: 1 } }), /keys\.cart\.ttl" is none/],
    [
      'a key that two commands merge otherwise',
      () => withKeys({ cart: { merge: 'union' } }, { cart: { merge: 'keep' } }),
      /"commands\.take\.keys\.cart\.merge" is "keep", and another command declares the same key with "union"/,
    ],
    [
      'more than 64 keys',
      () => withKeys(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`key-${i}`, { merge: 'drop' }]))),
      /"commands" declares 65 keys, 64 at most/,
    ],
  ];
  for (const [title, act, message] of wrong)
    it(`refuses ${title} at once, with an OptionError that names it`, () => {
      expect(act)
        .to.throw(OptionError, message)
        .with.property('code')
        .that.matches(/^ERR_INTELLIGENT_SESSION_/);
    });

  it('has the same Redis under each of the three names, of the middleware, the store and a worker', () => {
    for (const resolve of [resolveOptions, resolveStoreOptions, resolveWorkerOptions])
      for (const name of ['redis', 'client', 'url']) {
        const resolved: object = resolve({ [name]: 'redis://one:1' });
        expect(resolved).to.have.property('redis', 'redis://one:1');
        expect(resolved).to.not.have.any.keys('client', 'url');
      }
  });

  it('knows options by the names that the schemas have, where it tells that one belongs elsewhere', () => {
    const { session, store, worker, middleware } = {
      session: middlewareSchema.entries.session.wrapped.entries,
      ...{ store: storeSchema.entries, worker: workerSchema.entries, middleware: middlewareSchema.entries },
    };
    expect(misplaced.SESSION).to.have.members(Object.keys(session));
    // those of the same name at the top of intelligentSession() can't be misplaced there
    expect(misplaced.STORE).to.have.members(Object.keys(store).filter((name) => !Object.hasOwn(middleware, name)));
    expect(Object.keys(worker)).to.include.members(misplaced.WORKER);
    expect(Object.keys(middleware)).to.include.members(misplaced.MIDDLEWARE);
  });

  it('an empty REDIS_URL is an error that names it', () => {
    const { REDIS_URL: before } = process.env;
    process.env.REDIS_URL = '';
    try {
      expect(() => sessions({})).to.throw(OptionError, /\(REDIS_URL\) should be a URL/);
    } finally {
      if (before === undefined) delete process.env.REDIS_URL;
      else process.env.REDIS_URL = before;
    }
  });

  it('createBloomFilter() refuses what is no client of ioredis, and an expansion of a filter that does not grow', async () => {
    const code = 'ERR_INTELLIGENT_SESSION_OPTION';
    const of = (...args: unknown[]) =>
      Reflect.apply(createBloomFilter, undefined, args).then(
        () => expect.fail('no error'),
        (error: unknown) => error,
      );
    expect(await of('redis://127.0.0.1')).to.include({ code });
    const still = await of({ call() {}, on() {} }, 'fallback', { nonScaling: true, expansion: 3 });
    expect(still)
      .to.include({ code })
      .and.property('message')
      .matches(/"expansion" is without effect/);
  });

  it('takes several item secrets of a worker and of who publishes, too', () => {
    const itemSecret = ['the first item secret', 'the other item secret'];
    const odd = { maxWaitMs: -1, ttlSeconds: -1 } as never;
    for (const make of [createNotifications, createWorker] as ((options: object) => unknown)[]) {
      expect(() => make({ itemSecret, ...(odd as object) }), make.name).to.throw(
        OptionError,
        /"(maxWaitMs|ttlSeconds)"/,
      );
      expect(() => make({ itemSecret: [...itemSecret, 'short'] }), make.name).to.throw(OptionError, /"itemSecret/);
    }
  });

  it('takes several item secrets of a store and a site, each once and each long enough, and shows none', () => {
    const [one, other] = ['the first item secret', 'the other item secret'];
    const store = (itemSecret: unknown) => () => new RedisSessionStore({ itemSecret, maxSessionsPerUser: -1 } as never);
    const site = (itemSecret: unknown) => () => intelligentSession({ itemSecret, session: wrongAtLast } as never);
    for (const given of [[], [one, other, one], [one, 'short']])
      expect(site(given), JSON.stringify(given)).to.throw(OptionError, /"itemSecret/);
    for (const given of [[one], [one, other]]) expect(site(given)).to.throw(OptionError, /maxAge/);
    for (const given of [[], [one, 'short'], [one, other, one], [one, 7], 'short', {}])
      expect(store(given), JSON.stringify(given))
        .to.throw(OptionError, /"itemSecret/)
        .that.satisfies(({ code, message }: OptionError) => {
          expect(message).to.not.include(one).and.not.include(other);
          return code === 'ERR_INTELLIGENT_SESSION_OPTION';
        });
    for (const given of [one, [one], [one, other]]) expect(store(given)).to.throw(OptionError, /"maxSessionsPerUser"/);
  });

  describe('in production', () => {
    const before = process.env.NODE_ENV;
    beforeEach(() => {
      process.env.NODE_ENV = 'production';
    });
    afterEach(() => {
      if (before === undefined) delete process.env.NODE_ENV;
      else process.env.NODE_ENV = before;
    });
    const long = 'kD3vQ0zYp8nB1xTfWm6RjC9sLh2GuAe5';
    // what is wrong next comes before anything is connected
    const start = (secret?: string | string[]) => () =>
      intelligentSession({ ...(secret !== undefined && { secret }), session: wrongAtLast });

    it('asks for a secret', () => {
      expect(start())
        .to.throw(OptionError, /SESSION_SECRET/)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_SECRET');
    });

    const guessable = ['§', '1234567', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'abababababab', 'keyboard cat'];
    guessable.push('Secret', 'my-secret-key', 'your_secret_here', 'changeme', 'CHANGE_ME', 'a long random text');
    for (const secret of guessable)
      it(`refuses a secret that is guessed at once, without repeating it: ${secret}`, () => {
        for (const given of [secret, [secret, long], [long, secret]])
          expect(start(given))
            .to.throw(OptionError, /characters|sample/)
            .that.satisfies(({ code, message }: OptionError) => {
              expect(message)
                .to.match(/32 bytes/)
                .and.not.include(secret);
              return code === 'ERR_INTELLIGENT_SESSION_SECRET';
            });
      });

    it('warns once of a secret below 32 bytes, and takes a long one, first or second', async () => {
      const warnings: (Error & { code?: string })[] = [];
      const heard = (warning: Error) => warnings.push(warning);
      process.on('warning', heard);
      try {
        for (const given of [long, [long, long], 'hV9-qk2LwZ', [long, 'hV9-qk2LwZ'], 'hV9-qk2LwZ7'])
          expect(start(given)).to.throw(OptionError, /maxAge/);
        await new Promise(setImmediate);
      } finally {
        process.off('warning', heard);
      }
      expect(warnings.map(({ code }) => code)).to.deep.equal(['INTELLIGENT_SESSION_SHORT_SECRET']);
      expect(warnings[0]?.message)
        .to.match(/fewer than 32 bytes/)
        .and.not.include('hV9');
    });

    it('warns once of users whose keys can be found by their ids', async () => {
      const warnings: (Error & { code?: string })[] = [];
      const heard = (warning: Error) => warnings.push(warning);
      const startWith = (options: object) => () =>
        intelligentSession({ secret: long, session: wrongAtLast, ...options });
      const told = async () => {
        await new Promise(setImmediate);
        return warnings.map(({ code }) => code);
      };
      process.on('warning', heard);
      try {
        for (const options of [{}, { user: () => 'ann', itemSecret: long }, { itemSecret: long }])
          expect(startWith(options)).to.throw(OptionError, /maxAge/);
        expect(await told()).to.deep.equal([]);
        for (const user of [() => 'ann', 'identify']) expect(startWith({ user })).to.throw(OptionError, /maxAge/);
        expect(await told()).to.deep.equal(['INTELLIGENT_SESSION_USERS_GUESSABLE']);
      } finally {
        process.off('warning', heard);
      }
      expect(warnings[0]?.message).to.include('docs/errors.md#intelligent_session_users_guessable');
    });
  });

  it('takes any secret elsewhere', () => {
    expect(() => intelligentSession({ secret: 'x', session: wrongAtLast })).to.throw(OptionError, /maxAge/);
  });
});
