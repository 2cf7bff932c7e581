/**
 * An app process of the soak: an Express site whose pages change the session in one way each. Its only argument is JSON:
 * `{ redis, saveMode, port }`; it tells its parent when it listens. A page answers after its save, or with the save's error.
 */
import { setTimeout as pause } from 'node:timers/promises';
import express, { type NextFunction, type Request, type Response } from 'express';
import type { SessionData } from 'express-session';
import type { RedisOptions } from 'ioredis';
import { intelligentSession } from '../lib/index.js';

export interface SiteSettings {
  readonly redis: string | RedisOptions;
  readonly saveMode: 'merge' | 'overwrite';
  readonly port: number;
}

/** What a page answers: the id that the session has now, and what it held when the request read it. */
export interface PageAnswer {
  readonly sid: string;
  readonly saw: Record<string, string>;
  /** of a take-back: its save failed, and it has saved the key as it had read it */
  readonly takenBack?: boolean;
}

const { redis, saveMode, port } = JSON.parse(process.argv[2] as string) as SiteSettings;
const sessions = intelligentSession({
  redis,
  secret: 'soak',
  track: false,
  session: { saveUninitialized: false },
  store: { saveMode, whenAway: 'error' },
});
for (const emitter of [sessions.serving, sessions.store as NodeJS.EventEmitter])
  for (const event of ['fault', 'away']) emitter.on(event, () => {}); // the page tells

const valuesOf = (session: SessionData) => session as unknown as Record<string, string>;
const page = (act: (req: Request) => Promise<object | void> | object | void) => async (req: Request, res: Response) => {
  const { cookie: _, ...saw } = valuesOf(req.session);
  // two requests of one session are to overlap
  await pause(Number(req.query.takesMs));
  const more = await act(req);
  res.json({ sid: req.sessionID, saw, ...more } satisfies PageAnswer);
};
const finish = (act: (done: (error?: unknown) => void) => void) =>
  new Promise<void>((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
const isOwn = (req: Request) => 'user' in req.session;

const app = express();
// before the session: a blocked process
app.post('/block', (req, res) => {
  for (const end = performance.now() + Number(req.query.ms); performance.now() < end;);
  res.json({});
});
app.use(sessions);
app.post(
  '/read',
  page(() => {}),
);
app.post(
  '/login',
  page(async (req) => {
    await finish((done) => req.session.regenerate(done));
    valuesOf(req.session).user = String(req.query.user);
    await finish((done) => req.session.save(done));
  }),
);
app.post(
  '/logout',
  page((req) => finish((done) => req.session.destroy(done))),
);
app.post(
  '/set',
  page((req) => {
    if (!isOwn(req)) return;
    valuesOf(req.session)[String(req.query.key)] = String(req.query.value);
    return finish((done) => req.session.save(done));
  }),
);
/** A page that hears that its change was not saved takes it back, and saves the session as it was. */
app.post(
  '/take-back',
  page(async (req) => {
    if (!isOwn(req)) return;
    const values = valuesOf(req.session);
    const key = String(req.query.key);
    const before = values[key];
    values[key] = String(req.query.value);
    try {
      await finish((done) => req.session.save(done));
    } catch {
      if (before === undefined) delete values[key];
      else values[key] = before;
      for (let tries = 1; ; tries++)
        try {
          await finish((done) => req.session.save(done));
          return { takenBack: true };
        } catch (error) {
          if (tries === 40) throw error;
          await pause(100);
        }
    }
  }),
);
app.post(
  '/delete',
  page((req) => {
    if (!isOwn(req)) return;
    delete valuesOf(req.session)[String(req.query.key)];
    return finish((done) => req.session.save(done));
  }),
);
app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
  if (!res.headersSent) res.sendStatus(error.status ?? 500);
});
app.listen(port, '127.0.0.1', () => process.send?.('listening'));
process.on('disconnect', () => process.exit());
