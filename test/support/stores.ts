import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore, type RedisSessionStoreOptions, type Serializer } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { FaultyProxy } from './proxy.js';
import { until } from './until.js';
import { useRedis } from './use-redis.js';

/** Session data as express-session stores them. They end at a time, or after so many ms; without `end`, with the browser. */
export const data = (more: object = {}, end?: Date | number): SessionData =>
  ({
    cookie: {
      path: '/',
      httpOnly: true,
      originalMaxAge: typeof end === 'number' ? end : null,
      ...(end !== undefined && { expires: typeof end === 'number' ? new Date(Date.now() + end) : end }),
    },
    ...more,
  }) as SessionData;

/** The key that lists a user's sessions, of a store without `itemSecret`. */
export const userKey = (user: string, prefix = 'users:sess:'): string => prefix + userSubject(user, undefined);

/** A session as a page has it: read by express-session's own load(). */
export const load = (sid: string, store: RedisSessionStore): Promise<Session & SessionData> =>
  new Promise((resolve, reject) =>
    store.load(sid, (error, found) =>
      error || !found ? reject(error ?? new Error('no session')) : resolve(found as Session & SessionData),
    ),
  );

/** Saves a session as a page does. */
export const save = (session: Session): Promise<void> =>
  new Promise((resolve, reject) => session.save((error) => (error ? reject(error) : resolve())));

/** What a store tells of its sessions from now on: "created <session id>", … */
export function told(store: RedisSessionStore): string[] {
  const events: string[] = [];
  for (const name of ['created', 'destroyed', 'conflict', 'refused', 'expired'])
    store.on(name, (sid: string) => events.push(`${name} ${sid}`));
  return events;
}

/** The option of a site whose sessions hold their user. */
export const users = { user: (session: SessionData) => session.user as string | undefined };

/** The values of the option `saveMode`. */
export const modes = ['merge', 'overwrite', 'reject'] as const;

/** A serializer that is not JSON: dates come back as dates. */
export const tagged: Serializer = {
  stringify: (session) =>
    `tagged ${JSON.stringify(session, function (this: Record<string, unknown>, key, value) {
      return this[key] instanceof Date ? { $date: (this[key] as Date).getTime() } : value;
    })}`,
  parse: (text) =>
    JSON.parse(text.slice('tagged '.length), (_, value) =>
      typeof value?.$date === 'number' ? new Date(value.$date) : value,
    ),
};

/** A store behind a network that can fail. */
export interface FarStore {
  readonly proxy: FaultyProxy;
  readonly store: RedisSessionStore;
}

/** A Redis for the tests of a describe, empty before each of them, and stores on it that are closed after each of them. */
export class StoreGround {
  redis!: PrivateRedis;
  client!: Redis;
  readonly opened = useRedis(({ redis, client }) => {
    this.redis = redis;
    this.client = client;
  });

  readonly open = (options: RedisSessionStoreOptions = {}): RedisSessionStore => {
    const store = new RedisSessionStore({ ...(options.client ? {} : { url: this.redis.url }), ...options });
    this.opened.push(() => store.close());
    return store;
  };

  /** Opens a store whose connection goes through a proxy, and waits until it is connected. */
  readonly openFar = async (options: RedisSessionStoreOptions = {}): Promise<FarStore> => {
    const proxy = await FaultyProxy.open(this.redis.port);
    this.opened.push(() => proxy.close());
    const store = this.open({ ...options, url: proxy.url });
    await store.length();
    return { proxy, store };
  };

  /** Opens a store for as long as `act` takes. */
  readonly withStore = async <T>(
    options: RedisSessionStoreOptions,
    act: (store: RedisSessionStore) => Promise<T>,
  ): Promise<T> => {
    const store = new RedisSessionStore({ ...(options.client ? {} : { url: this.redis.url }), ...options });
    try {
      return await act(store);
    } finally {
      await store.close();
    }
  };

  /** A session as Redis has it. */
  readonly stored = async (sid: string): Promise<SessionData | null> =>
    JSON.parse((await this.client.get(`sess:${sid}`)) ?? 'null') as SessionData | null;
}

/** Does something that Redis carries out, as `done` tells, and whose answer is lost. */
export async function unanswered(
  { proxy, store }: FarStore,
  act: () => Promise<unknown>,
  done: () => Promise<boolean>,
  meanwhile: () => Promise<unknown> = async () => {},
): Promise<void> {
  proxy.holdAnswers();
  const failed = codeOf(act());
  await until('it is in Redis', done);
  await meanwhile();
  const ready = new Promise((resolve) => store.client.once('ready', resolve));
  proxy.cut();
  proxy.release();
  expect(await failed).to.match(/_REDIS$|_NOT_READY$/);
  await ready;
}

/** Does something that Redis never gets. */
export async function neverSent({ proxy, store }: FarStore, act: () => Promise<unknown>): Promise<void> {
  proxy.hold();
  const failed = codeOf(act());
  const ready = new Promise((resolve) => store.client.once('ready', resolve));
  setImmediate(() => {
    proxy.cut();
    proxy.release();
  });
  expect(await failed).to.match(/_REDIS$|_NOT_READY$/);
  await ready;
}

const codeOf = (act: Promise<unknown>): Promise<string | undefined> =>
  act.then(
    () => expect.fail('was answered'),
    (error: { code?: string }) => error.code,
  );
