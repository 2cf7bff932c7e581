import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';
import type { SessionData } from 'express-session';
import type * as v from 'valibot';
import type { optionsSchema as bloomSchema } from '../../lib/bloom/bloom-options.js';
import type { NotificationsOptions, schema as notificationsSchema } from '../../lib/notifications/options.js';
import type { schema as storeSchema } from '../../lib/session/options.js';
import type { schema as workerSchema } from '../../lib/worker/options.js';
import type { schema as middlewareSchema } from '../../middleware/options.js';
import type {
  AskOptions,
  BloomOptions,
  DegradedReason,
  Executor,
  IntelligentRequest,
  IntelligentSession,
  IntelligentSessionOptions,
  PageNameOptions,
  RedisSessionStore,
  RedisSessionStoreOptions,
  WorkerOptions,
} from '../../lib/index.js';

/** Options that can be left out and can't be undefined: what a strict project could not take from the environment. */
type NotUndefined<T> = {
  [K in keyof T]-?: object extends Pick<T, K> ? ({ [P in K]: undefined } extends Pick<T, K> ? never : K) : never;
}[keyof T];

/** True where a type and what its schema takes have the same options, and each takes the same values; else those that differ. */
type Agrees<Type, Taken> = [Differences<Type, Taken>] extends [never] ? true : Differences<Type, Taken>;
type Differences<Type, Taken> =
  | Exclude<keyof Type, keyof Taken>
  | Exclude<keyof Taken, keyof Type>
  | { [K in keyof Type & keyof Taken]-?: Alike<Type[K], Taken[K]> extends true ? never : K }[keyof Type & keyof Taken];
type Alike<A, B> = [A, B] extends [B, A] ? true : false;

declare module 'express-session' {
  interface SessionData {
    typedCart?: readonly { sku: string }[];
  }
}

describe('types', () => {
  it('know what an application adds to SessionData (checked by the compiler: npm run types)', () => {
    const use = async (store: RedisSessionStore) => {
      const session = await store.get('a');
      const sku: string | undefined = session?.typedCart?.[0]?.sku;
      // @ts-expect-error a cart is a list of objects with a sku
      const wrong: SessionData['typedCart'] = [{ name: 'x' }];
      for (const one of await store.all()) sku === one.typedCart?.[0]?.sku && one.id.trim();
      return wrong;
    };
    use satisfies (store: RedisSessionStore) => Promise<unknown>;
  });

  it('have a middleware for Express and for plain node:http', () => {
    const use = (sessions: IntelligentSession, req: IncomingMessage, res: ServerResponse) => {
      const handlers: RequestHandler[] = [sessions, sessions.beacon()];
      sessions(req, res, (error?: unknown) => error);
      const intelligent: (one: Express.Request & IncomingMessage) => IntelligentRequest = (one) => one;
      // @ts-expect-error what has not been through the middleware
      req.intelligence;
      return [handlers, intelligent, (req as IntelligentRequest).intelligence.degraded satisfies boolean];
    };
    use satisfies (sessions: IntelligentSession, req: IncomingMessage, res: ServerResponse) => unknown;
  });

  it('have the options that the schemas take, and no others', () => {
    type Store = v.InferInput<typeof storeSchema>;
    const near: Agrees<NonNullable<RedisSessionStoreOptions['nearCache']>, NonNullable<Store['nearCache']>> = true;
    const secrets: Agrees<NonNullable<RedisSessionStoreOptions['encryption']>, NonNullable<Store['encryption']>> = true;
    const store: Agrees<RedisSessionStoreOptions, Store> = true;
    const worker: Agrees<WorkerOptions, v.InferInput<typeof workerSchema>> = true;
    const middleware: Agrees<IntelligentSessionOptions, v.InferInput<typeof middlewareSchema>> = true;
    const pages: Agrees<PageNameOptions, NonNullable<v.InferInput<typeof middlewareSchema>['pages']>> = true;
    const bloom: Agrees<BloomOptions, v.InferInput<typeof bloomSchema>> = true;
    const notifications: Agrees<NotificationsOptions, v.InferInput<typeof notificationsSchema>> = true;
    [near, secrets, store, worker, middleware, pages, bloom, notifications] satisfies true[];
    // what is not alike is named
    const more: Agrees<WorkerOptions & { readonly more?: number }, v.InferInput<typeof workerSchema>> = 'more';
    const other: Agrees<Omit<WorkerOptions, 'shard'> & { readonly shard?: number }, WorkerOptions> = 'shard';
    [more, other] satisfies string[];
  });

  it('name what sessions.serving is, and tell the answers of ask() apart', () => {
    const use = async (sessions: IntelligentSession, { intelligence }: IntelligentRequest) => {
      const executor: Executor = sessions.serving;
      executor.on('degraded', (_command, reason: DegradedReason) => reason);
      const result = await intelligence.askResult('price', '', { timeout: 50 });
      if (result.answered) result.data satisfies unknown;
      else if (result.reason === 'failed') result.error satisfies Error | undefined;
      else result.reason satisfies 'untracked' | 'no-session' | 'no-consent' | Exclude<DegradedReason, 'failed'>;
      // @ts-expect-error whether there is data is known once it is known that it was answered
      result.data;
      // @ts-expect-error no such word
      await intelligence.ask('price', '', { onUnanswered: 'throw' });
      const marked: boolean | undefined = await intelligence.markNotificationSeen('1');
      return [await intelligence.ask('price', '', { onUnanswered: 'reject', timeout: undefined }), marked];
    };
    use satisfies (sessions: IntelligentSession, req: IntelligentRequest) => Promise<unknown>;
  });

  it('let every option that can be left out be undefined (exactOptionalPropertyTypes)', () => {
    type Options = [
      NotUndefined<IntelligentSessionOptions>,
      NotUndefined<RedisSessionStoreOptions>,
      NotUndefined<NonNullable<RedisSessionStoreOptions['nearCache']>>,
      NotUndefined<NonNullable<RedisSessionStoreOptions['encryption']>>,
      NotUndefined<WorkerOptions>,
      NotUndefined<BloomOptions>,
      NotUndefined<PageNameOptions>,
      NotUndefined<AskOptions>,
    ];
    const none: Options extends never[] ? true : Options = true;
    none satisfies true;
  });
});
