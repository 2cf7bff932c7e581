// An application as a strict project writes it; it is compiled, not run.
import { createServer } from 'node:http';
import express from 'express';
import session from 'express-session';
import intelligentSessionToo, {
  type Bots,
  type Combo,
  type Consent,
  createWorker,
  type Executor,
  type IntelligentRequest,
  type IntelligentSession,
  intelligentSession,
  OptionError,
  RedisSessionStore,
  type Track,
  type VisitorIntelligence,
  type Who,
} from 'intelligent-session';
import { type BloomFilter, copyFilter, createBloomFilter } from 'intelligent-session/bloom';
import { RedisSessionStore as StoreAlone, type RedisSessionStoreOptions } from 'intelligent-session/store';
import { createWorker as createWorkerToo, Worker, type WorkerOptions } from 'intelligent-session/worker';
import { Redis } from 'ioredis';

declare module 'express-session' {
  interface SessionData {
    userId?: string;
  }
}

const combos: Combo[] = [{ name: 'television', pages: ['/added/tv', '/added/mount'], suggest: '/cable' }];
const track: Track = (req) => req.path.startsWith('/news') && req.originalUrl;
const bots: Bots = (req) => req.get('user-agent') === 'mine';
const consent: Consent = (req) => req.get('cookie')?.includes('consent=yes');

// what the environment may not have, under exactOptionalPropertyTypes
const sessions: IntelligentSession = intelligentSession({
  redis: process.env['REDIS_URL'],
  secret: process.env['SESSION_SECRET'],
  namespace: process.env['NAMESPACE'],
  itemSecret: undefined,
  session: { name: 'sid', cookie: { secure: 'auto', sameSite: 'lax' } },
  user: ({ userId }) => userId,
  store: { ttl: undefined, nearCache: { max: undefined } },
  pages: { query: undefined },
  track,
  bots,
  consent,
  combos,
});
const alone = session({
  store: new RedisSessionStore({ url: process.env['REDIS_URL'] }),
  secret: 'a long random text',
  resave: false,
  saveUninitialized: false,
});
const storeOptions: RedisSessionStoreOptions = { client: new Redis(), encryption: { secrets: ['0123456789abcdef'] } };
const store: session.Store = new StoreAlone(storeOptions);
const storeToo: RedisSessionStore = new StoreAlone();

const app = express();
app.use(sessions, alone);
app.post('/seen', sessions.beacon());
app.post('/login', async (req, res) => {
  await req.session.regenerate();
  await req.session.save();
  await req.session.reload();
  await req.session.destroy();
  res.end();
});
app.get('/', async (req, res) => {
  const report = await req.intelligence.pageview();
  const pages: number | undefined = report?.totalPages;
  const fresh: readonly string[] = await req.intelligence.freshPages(['/a', '/b']);
  req.session.userId = String(pages);
  res.json({ fresh, metrics: await sessions.serving.metrics.metrics(), id: req.sessionID });
});
const serving: Executor = sessions.serving;
serving.on('degraded', (command, reason) => console.error(command, reason));
app.get('/price', async (req, res) => {
  const result = await req.intelligence.askResult('price', req.path, { timeout: undefined });
  res.json(result.answered ? result.data : result.reason);
});
createServer((req, res) =>
  sessions(req, res, async () => {
    const { intelligence } = req as IntelligentRequest;
    res.end(String((await intelligence.activity({ minutes: undefined }))?.length));
  }),
);

const who: Who[] = [{ sid: 'a' }, { user: 5 }, { cookie: createServer().listenerCount('upgrade') ? undefined : 'a=b' }];
const outside: VisitorIntelligence[] = who.map((who) => sessions.of(who));
const unread = async (): Promise<readonly string[]> => (await outside[0]?.freshPages(['/a'])) ?? [];
// @ts-expect-error an id is a text
sessions.of({ sid: 5 });

const options: WorkerOptions = {
  redis: process.env['REDIS_URL'],
  commands: { greet: ({ payload }) => `hi ${payload}` },
};
const workers: Promise<Worker>[] = [createWorker(options), createWorkerToo(options)];
const filter: Promise<BloomFilter> = createBloomFilter(new Redis(), 'auto', { capacity: undefined });

export { copyFilter, filter, intelligentSessionToo, OptionError, store, storeToo, unread, workers };
intelligentSessionToo({ worker: 'embedded' }) satisfies IntelligentSession;
