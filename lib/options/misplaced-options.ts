import type { Elsewhere } from './check-options.js';

/** Where options stand that people give in another place: to intelligentSession(), to the store alone, or to a worker. */
const each = (names: string, where: (name: string) => string): Elsewhere =>
  Object.fromEntries(names.split(' ').map((name) => [name, where(name)]));

const SESSION = 'cookie genid name key proxy resave rolling saveUninitialized unset';
const STORE =
  'prefix ttl newSessionTtl serializer scanCount disableTTL disableTouch touchAfter saveMode whenAway nearCache user ' +
  'maxSessionsPerUser expiredEvents encryption';
const REDIS = 'host port username password db tls sentinels';
const WORKER = 'sessionGlob shard ttlSeconds log';
const MIDDLEWARE = 'namespace track pages bots timeout transport worker combos itemSecret';

const inRedis = each(REDIS, (name) => `belongs to Redis: redis: { ${name}: … }`);
const beside = (name: string) => `stands beside "session": intelligentSession({ ${name}, session: { … } })`;
const besideStore = (name: string) => `stands beside "store": intelligentSession({ ${name}, store: { … } })`;

export const elsewhereOfMiddleware: Elsewhere = {
  ...inRedis,
  ...each(SESSION, (name) => `belongs in "session": intelligentSession({ session: { ${name}: … } })`),
  ...each(STORE, (name) => `belongs in "store": intelligentSession({ store: { ${name}: … } })`),
  ...each(WORKER, (name) => `belongs to a worker: createWorker({ ${name}: … })`),
  ...each('client url', () => 'is called "redis" here'),
  'session.secret': beside('secret'),
  'session.store': beside('store'),
};

/** Of the option `store`. */
export const elsewhereInStore: Elsewhere = {
  redis: besideStore('redis'),
  ...each(
    'client url',
    () => 'is called "redis", and stands beside "store": intelligentSession({ redis, store: { … } })',
  ),
  ...each(`secret ${MIDDLEWARE}`, besideStore),
  ...each(SESSION, (name) => `belongs in "session": intelligentSession({ session: { ${name}: … } })`),
};

export const elsewhereOfStore: Elsewhere = {
  ...inRedis,
  ...each(`secret ${SESSION}`, (name) => `belongs to express-session: session({ store, ${name}: … })`),
  ...each(MIDDLEWARE, (name) => `belongs to intelligentSession({ ${name}: … }), which makes its store itself`),
};

export const elsewhereOfWorker: Elsewhere = {
  ...inRedis,
  ...each('client url', () => 'is called "redis" here'),
  ...each(`secret session store track pages bots timeout ${SESSION}`, (name) => {
    const { [name]: where = `belongs to intelligentSession({ ${name}: … })` } = elsewhereOfMiddleware;
    return where;
  }),
  ...each('metricsPort metricsHost', () => 'is of the command line; in code there is worker.metrics'),
};
