import { fileURLToPath } from 'node:url';
import ejs from 'ejs';
import express, { type Express, type Request, type Response } from 'express';
import { type IntelligentSessionOptions, intelligentSession } from '../lib/index.js';
import { sameOriginOnly, secureHeaders, withoutStack } from './guards.js';

/** What the shop's footer can do to the worker; none where it is somebody else's. */
export interface WorkerSwitch {
  readonly running: boolean;
  start(): Promise<void>;
  stop(): Promise<unknown>;
}

const products = [
  { page: '/added/tv', name: 'Television, 55 inches', price: '€ 649' },
  { page: '/added/tv-mount', name: 'TV wall mount', price: '€ 39' },
  { page: '/added/soundbar', name: 'Soundbar', price: '€ 179' },
  { page: '/added-sync/headphones', name: 'Headphones', price: '€ 89' },
];

/** One list for the whole group: a notification costs one write, however many people get it. */
const groupNotifications = [
  { id: 'spring-sale', text: 'Spring sale: everything for the living room' },
  { id: 'opening-hours', text: 'The shop in Main Street opens at 8' },
  { id: 'cable-week', text: 'Cable week: HDMI <2 m> now half price' },
];

/** `hosts`: the names under which browsers reach it, beside this machine's own for itself. */
export function createShop(options: IntelligentSessionOptions, worker?: WorkerSwitch, hosts: readonly string[] = []) {
  const app: Express = express();
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  app.engine('ejs', (file, data, done) => void ejs.renderFile(file, data, done));
  app.set('view engine', 'ejs').set('views', here('./views')).disable('x-powered-by');
  app.use(secureHeaders, sameOriginOnly(hosts));
  app.use(express.static(here('./public')));
  const sessions = intelligentSession({
    combos: [{ name: 'tv-on-the-wall', pages: ['/added/tv', '/added/tv-mount'], suggest: 'HDMI cable, 2 m' }],
    session: { name: 'shop.sid', cookie: { httpOnly: true, sameSite: 'lax' } },
    ...options,
  });
  app.use(sessions, express.urlencoded({ extended: false }));

  /** Every page's footer: asked for together, so one round trip of time. */
  async function page(req: Request, res: Response, view: string, data: object = {}): Promise<void> {
    const started = performance.now();
    const [report, activity] = await Promise.all([
      req.intelligence.pageview(),
      req.intelligence.activity({ minutes: 60 }),
    ]);
    const tookMs = (performance.now() - started).toFixed(1);
    const { degraded } = req.intelligence;
    res.render(view, { ...data, report, activity, degraded, tookMs, worker, path: req.path });
  }

  app.get('/', async (req, res) => {
    const fresh = await req.intelligence.freshPages(products.map((product) => product.page));
    await page(req, res, 'home', { products: products.map((p) => ({ ...p, fresh: fresh.includes(p.page) })) });
  });
  // Not critical: the page does not wait; its view is sent at the end of the response.
  app.get('/added/:item', (req, res) => {
    res.render('added', { item: req.params.item, waited: false, worker, path: req.path });
  });
  // Critical: the page needs the answer, and waits for it.
  app.get('/added-sync/:item', async (req, res) => {
    await page(req, res, 'added', { item: req.params.item, waited: true });
  });
  app.get('/confirm-purchase', async (req, res) => {
    const [suggestions, both] = await Promise.all([
      req.intelligence.suggestions(),
      req.intelligence.combo('tv-on-the-wall'),
    ]);
    await page(req, res, 'confirm', { suggestions, both });
  });
  app.get('/notifications', async (req, res) => {
    await page(req, res, 'notifications', { list: await req.intelligence.notifications(groupNotifications) });
  });
  app.post('/notifications/:id/seen', async (req, res) => {
    await req.intelligence.markNotificationSeen(req.params.id);
    res.redirect(303, '/notifications');
  });
  app.get('/raw-session-analytics', async (req, res) => {
    const { intelligence } = req;
    const [pageview, freshPages, combo] = await Promise.all([
      intelligence.pageview(),
      intelligence.freshPages(products.map((product) => product.page)),
      intelligence.combo('tv-on-the-wall'),
    ]);
    const notifications = await intelligence.notifications(groupNotifications.map(({ id }) => id));
    const raw = { pageview, freshPages, combo, notifications, degraded: intelligence.degraded };
    await page(req, res, 'raw', { raw: JSON.stringify(raw, undefined, 2) });
  });
  app.post('/worker/:act', async (req, res) => {
    if (req.params.act === 'stop') await worker?.stop();
    if (req.params.act === 'start') await worker?.start();
    res.redirect(303, '/');
  });
  app.use((_req, res) => void res.status(404).type('text').send('There is no such page.\n'));
  app.use(withoutStack);
  return { app, sessions };
}
