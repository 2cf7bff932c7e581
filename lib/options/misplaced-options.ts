import type { Elsewhere } from './check-options.js';

// Options given in a wrong place: `elsewhereOfStore` is for those given to the store that belong elsewhere, and so on. A test
// compares the lists with the schemas.

export const SESSION = 'cookie genid name key proxy resave rolling saveUninitialized unset'.split(' ');
export const STORE = (
  'prefix ttl newSessionTtl maxLifetime serializer scanCount disableTTL disableTouch touchAfter saveMode merge whenAway nearCache ' +
  'maxSessionsPerUser expiredEvents encryption'
).split(' ');
export const WORKER = 'sessionGlob shard ttlSeconds log'.split(' ');
export const MIDDLEWARE =
  'namespace track pages bots consent notifications timeout transport worker combos keepUsersForDays rotateEvery rotateGrace'.split(
    ' ',
  );
const CONNECTION = 'host port username password db tls sentinels'.split(' ');

const each = (names: readonly string[], place: (name: string) => string): Elsewhere =>
  Object.fromEntries(names.map((name) => [name, place(name)]));

const inRedis = each(CONNECTION, (name) => `belongs to Redis: redis: { ${name}: … }`);
const inSession = each(SESSION, (name) => `belongs in "session": intelligentSession({ session: { ${name}: … } })`);
const inMiddleware = (name: string) => `belongs to intelligentSession({ ${name}: … })`;
const besideSession = (name: string) => `stands beside "session": intelligentSession({ ${name}, session: { … } })`;
const besideStore = (name: string) => `stands beside "store": intelligentSession({ ${name}, store: { … } })`;

export const elsewhereOfMiddleware: Elsewhere = {
  ...inRedis,
  ...inSession,
  ...each(STORE, (name) => `belongs in "store": intelligentSession({ store: { ${name}: … } })`),
  ...each(WORKER, (name) => `belongs to a worker: createWorker({ ${name}: … })`),
  'session.secret': besideSession('secret'),
  'session.store': besideSession('store'),
};

/** For options within the middleware's option `store`. */
export const elsewhereInStore: Elsewhere = {
  ...each(['redis', 'client', 'url', 'secret', 'user', 'itemSecret', ...MIDDLEWARE], besideStore),
  ...inSession,
};

export const elsewhereOfStore: Elsewhere = {
  ...inRedis,
  ...each(['secret', ...SESSION], (name) => `belongs to express-session: session({ store, ${name}: … })`),
  ...each(MIDDLEWARE, (name) => `${inMiddleware(name)}, which makes its store itself`),
};

export const elsewhereOfWorker: Elsewhere = {
  ...inRedis,
  ...inSession,
  ...each('secret session store track pages bots consent notifications timeout'.split(' '), inMiddleware),
  ...each(['metricsPort', 'metricsHost'], () => 'is of the command line; in code there is worker.metrics'),
};

const inSite = (name: string) => `belongs to the site: intelligentSession({ ${name}: … })`;
export const elsewhereOfNotifications: Elsewhere = {
  ...inRedis,
  ...inSession,
  ...each('secret session store track pages bots consent timeout transport worker'.split(' '), inSite),
  groups: 'belongs to the site: intelligentSession({ notifications: { groups: … } })',
};
