import express, { type Express, type RequestHandler } from 'express';
import type { IntelligentSession } from '../../lib/index.js';
import type { LiveOptions } from '../../middleware/live-options.js';
import { OpenedStream } from './event-source.js';
import { Site, Visitor } from './site.js';

/**
 * A site with live notifications, whose visitors log in and out: with a new session (`/login`), or in the one they have
 * (`/become`).
 */
export function liveApp(sessions: IntelligentSession, options?: LiveOptions, ...before: RequestHandler[]): Express {
  const app = express();
  for (const middleware of before) app.use(middleware);
  app.use(sessions);
  app.get('/notifications/live', sessions.live(options));
  app.get('/unread', async (req, res) => void res.json((await req.intelligence.unread()) ?? null));
  app.get('/read/:id', async (req, res) => {
    res.json((await req.intelligence.markNotificationSeen(req.params.id)) ?? null);
  });
  app.get('/read-all', async (req, res) => void res.json(await req.intelligence.markAllSeen()));
  app.get('/login/:user', (req, res, next) => {
    req.session.regenerate((error: unknown) => {
      if (error) return next(error);
      Object.assign(req.session, { user: req.params.user });
      res.json({});
    });
  });
  app.get('/become/:user', (req, res) => {
    Object.assign(req.session, { user: req.params.user });
    res.json({});
  });
  app.get('/become', (req, res) => {
    delete (req.session as { user?: string }).user;
    res.json({});
  });
  app.get('/forget', async (req, res) => void res.json(await req.intelligence.forget()));
  app.get('/logout', (req, res, next) => {
    req.session.destroy((error: unknown) => (error ? next(error) : res.json({})));
  });
  app.get('/', (req, res) => void res.json({ sid: req.sessionID }));
  return app;
}

/** A visitor's browser that has a page open. */
export class LiveVisitor extends Visitor {
  readonly streams: OpenedStream[] = [];

  /** A visitor who has visited a page, so that there is a session and its cookie. */
  static async at(site: Site, path = '/'): Promise<LiveVisitor> {
    const visitor = new LiveVisitor(site.url);
    await visitor.json('/');
    if (path !== '/') await visitor.json(path);
    return visitor;
  }

  /** The same browser's cookies at another site of the same sessions. */
  elsewhere(site: Site): LiveVisitor {
    return Object.assign(new LiveVisitor(site.url), { cookie: this.cookie });
  }

  async open(headers: Record<string, string> = {}): Promise<OpenedStream> {
    const stream = await OpenedStream.open(`${this.url}/notifications/live`, { cookie: this.cookie, ...headers });
    this.streams.push(stream);
    return stream;
  }
}
