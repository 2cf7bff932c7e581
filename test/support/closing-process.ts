/**
 * A site in a process of its own, which closes what it opened and then ends by itself. Its arguments are what to open
 * (`middleware` or `store`) and the options of that, as JSON; `cluster` is a node of a Cluster, `clusterOptions` are ioredis' options. It sends its parent `listening <port>`, waits for the message
 * `close`, and sends `closed <ms>` when close() has resolved.
 */
import { scrypt } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import express, { type NextFunction, type Request, type Response } from 'express';
import session from 'express-session';
import { Cluster } from 'ioredis';
import { intelligentSession, RedisSessionStore } from '../../lib/index.js';

const hash = promisify<string, string, number, Buffer>(scrypt);

const [kind = '', options = '{}'] = process.argv.slice(2);
const given = JSON.parse(options);
if (given.cluster) {
  given.redis = new Cluster([given.cluster], { lazyConnect: true, ...given.clusterOptions });
  delete given.cluster;
  delete given.clusterOptions;
}
process.env.SESSION_SECRET = 'test';

const sessions = kind === 'middleware' ? intelligentSession(given) : undefined;
const store = sessions ? undefined : new RedisSessionStore(given);
const closeAll = () => (sessions ?? store)?.close();
const app = express();
app.use(
  sessions ?? session({ store: store as RedisSessionStore, secret: 'test', resave: false, saveUninitialized: false }),
);
app.get('/', (_req, res) => void res.send('welcome'));
app.post('/', async (req, res) => {
  await req.intelligence?.pageview();
  await hash('password', req.sessionID, 32); // as a login does: the change comes after a while
  const { count = 0 } = req.session as { count?: number };
  Object.assign(req.session, { count: count + 1 });
  res.json({ sid: req.sessionID, count: count + 1 });
});

app.use((_error: unknown, _req: Request, res: Response, _next: NextFunction) => {
  if (!res.headersSent) res.status(503).end();
});

const server = createServer(app).listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(`listening ${typeof address === 'object' && address ? address.port : 0}`);
});
process.on('message', (message) => void (message === 'close' && close()));

async function close(): Promise<void> {
  server.close();
  const started = performance.now();
  await closeAll();
  const ms = Math.round(performance.now() - started);
  await closeAll(); // a second time, as an application may
  server.closeIdleConnections();
  // the channel to the parent keeps a process alive, too
  process.send?.(`closed ${ms}`, undefined, undefined, () => process.disconnect());
}
