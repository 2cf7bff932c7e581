import { fileURLToPath } from 'node:url';
import ejs from 'ejs';
import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import type { IntelligentSessionOptions } from '../lib/index.js';
import { addToCart, boughtBy, buyCart, cartOf, eurosOf, linesOf, removeFromCart } from './cart.js';
import { consent, keepConsent } from './consent.js';
import { sameOriginOnly, secureHeaders, withoutStack } from './guards.js';
import { Modes, modes, type WorkerSwitch } from './modes.js';
import { groupsOf, ShopNotifications } from './notifications.js';
import { cable, productOf, products } from './products.js';
import { staffPages } from './staff.js';
import { logIn, nameIn, userOf } from './users.js';

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR', minimumFractionDigits: 0 });
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export interface ShopSettings {
  /** The worker that the footer can switch; none where it is somebody else's. */
  readonly worker?: WorkerSwitch;
  /** The names by which browsers on other machines reach the shop. */
  readonly hosts?: readonly string[];
  /** Without it there are no pages for the staff. */
  readonly staffPassword?: string | undefined;
}

export function createShop(
  options: IntelligentSessionOptions,
  { worker, hosts = [], staffPassword }: ShopSettings = {},
): { app: Express; close(): Promise<void> } {
  const app = express();
  app.engine('ejs', (file, data, done) => ejs.renderFile(file, data, done));
  app.set('view engine', 'ejs').set('views', here('./views')).disable('x-powered-by');
  app.use(secureHeaders, sameOriginOnly(hosts));
  app.use(express.static(here('./public')));
  // browsers ask for this path also where a page names another icon
  app.get('/favicon.ico', (_req, res) => res.sendFile(here('./public/favicon.svg')));
  app.use(express.urlencoded({ extended: false, limit: '4kb' }));

  const notifications = new ShopNotifications(options);
  void notifications.begin();
  const sessions = new Modes(
    {
      combos: [{ name: 'tv-on-the-wall', pages: ['/added/tv', '/added/tv-mount'], suggest: cable.slug }],
      consent,
      user: userOf,
      notifications: { groups: groupsOf },
      // no page views: the page that shows what was counted, the staff's pages, and the live stream
      track: ({ method, path }) => method === 'GET' && !/^\/(about-you|staff|notifications\/live)\b/.test(path),
      session: { name: 'shop.sid', cookie: { httpOnly: true, sameSite: 'lax' } },
      ...options,
    },
    worker,
  );
  // before the sessions: a change of the mode waits for all requests that went through them
  app.post('/mode', async (req, res) => {
    const mode = modes.find((one) => one === req.body?.mode);
    if (mode) await sessions.change(mode);
    res.redirect(303, ownPath(req.body?.back));
  });
  app.post('/consent', keepConsent, (req, res) => res.redirect(303, ownPath(req.body?.back)));
  app.use(sessions.handler, (req, res, next) => {
    const pieces = cartOf(req).length;
    Object.assign(res.locals, {
      path: req.path,
      back: req.method === 'GET' ? req.originalUrl : '/',
      mode: sessions.current,
      tracked: req.intelligence.policy.tracked,
      user: userOf(req.session),
      pieces,
      euros,
    });
    next();
  });

  // These move the number at the bell while a page is open.
  app.get('/notifications/live.js', sessions.liveScript);
  app.get('/notifications/live', sessions.live);

  /** A page that waits: everything is asked for together, so it costs one round trip of time. */
  async function page<T extends object>(req: Request, res: Response, view: string, ask: Promise<T>): Promise<void> {
    const started = performance.now();
    const [report, activity, unread, data] = await Promise.all([
      req.intelligence.pageview(),
      req.intelligence.activity({ minutes: 60 }),
      req.intelligence.unread(),
      ask,
    ]);
    const tookMs = (performance.now() - started).toFixed(1);
    const user = userOf(req.session);
    // nothing in the five minutes before this one, and this is its first view
    if (user !== undefined && report?.inactive && !report.newToSite && !report.activityThisMinute)
      notifications.wasAway(user);
    res.render(view, { ...data, report, activity, unread, degraded: req.intelligence.degraded, tookMs, waited: true });
  }

  app.get('/', (req, res) =>
    page(
      req,
      res,
      'home',
      req.intelligence.freshPages(products.map((product) => product.page)).then((fresh) => ({ products, fresh })),
    ),
  );

  const withSession: RequestHandler = (req, res, next) => {
    if (req.session) next();
    else
      res.status(503).render('message', {
        title: 'Not now',
        text: 'The shop’s memory is away, so your cart can’t be changed. Please try again in a moment.',
      });
  };
  const notFound: RequestHandler = (req, res) =>
    res.status(404).render('message', {
      title: 'There is no such page',
      text: `Nothing is to be found at ${readable(req.originalUrl)}.`,
    });

  app.post('/cart', withSession, (req, res, next) => {
    const product = productOf(req.body?.item);
    if (!product) next();
    else if (addToCart(req, product)) res.redirect(303, product.page);
    else
      res.status(409).render('message', {
        title: 'Your cart is full',
        text: 'Please check out first, or take something out of it.',
      });
  });
  app.post('/cart/remove', withSession, (req, res, next) => {
    const product = productOf(req.body?.item);
    if (!product) return next();
    removeFromCart(req, product);
    res.redirect(303, '/confirm-purchase');
  });
  // The white paper's two kinds of page: the first does not wait, and its view is sent at the end of the response; the second
  // needs the answer, and waits for it.
  app.get(['/added/:item', '/added-sync/:item'], async (req, res, next) => {
    const product = productOf(req.params.item);
    if (!product) next();
    else if (!cartOf(req).includes(product.slug)) res.redirect(303, '/');
    else if (product.page !== req.path) res.redirect(303, product.page);
    else if (product.page.startsWith('/added-sync/')) await page(req, res, 'added', Promise.resolve({ product }));
    else res.render('added', { product });
  });

  app.get('/confirm-purchase', (req, res) => {
    const lines = linesOf(cartOf(req));
    const inCartOrBought = [...cartOf(req), ...boughtBy(req)];
    const missing = req.intelligence
      .suggestions()
      .then((slugs) => slugs.filter((slug) => !inCartOrBought.includes(String(slug))).map(productOf));
    return page(
      req,
      res,
      'confirm',
      missing.then((suggestions) => ({ lines, total: eurosOf(lines), suggestions })),
    );
  });
  app.post('/purchase', withSession, (req, res) => {
    res.redirect(303, buyCart(req) ? '/thank-you' : '/confirm-purchase');
  });
  app.get('/thank-you', (req, res) => {
    const lines = linesOf(boughtBy(req));
    if (lines.length === 0) res.redirect(303, '/confirm-purchase');
    else res.render('thanks', { lines, total: eurosOf(lines) });
  });

  app.get('/notifications', (req, res) => {
    const asked = req.intelligence.notifications({ limit: 50 });
    return page(
      req,
      res,
      'notifications',
      asked.then((list) => ({ list, unsaved: req.query.unsaved })),
    );
  });
  app.post('/notifications/seen', async (req, res) => {
    const isMarked = await req.intelligence.markAllSeen();
    res.redirect(303, isMarked ? '/notifications' : '/notifications?unsaved=yes');
  });
  app.post('/notifications/:id/seen', async (req, res) => {
    const marked = await req.intelligence.markNotificationSeen(req.params.id);
    res.redirect(303, marked !== undefined ? '/notifications' : '/notifications?unsaved=yes');
  });
  app.get('/raw-session-analytics', (req, res) => {
    const { intelligence } = req;
    const asked = Promise.all([
      intelligence.pageview(),
      intelligence.freshPages(products.map((product) => product.page)),
      intelligence.combo('tv-on-the-wall'),
      intelligence.notifications({ limit: 50 }),
    ]);
    const raw = asked.then(([pageview, freshPages, combo, notifications]) =>
      JSON.stringify({ pageview, freshPages, combo, notifications, degraded: intelligence.degraded }, undefined, 2),
    );
    return page(
      req,
      res,
      'raw',
      raw.then((text) => ({ raw: text })),
    );
  });

  app.get('/login', (_req, res) => res.render('login'));
  app.post('/login', withSession, async (req, res) => {
    const name = nameIn(req.body?.name);
    if (name === undefined) return res.status(400).render('login', { refused: true });
    await logIn(req, name);
    notifications.welcome(name);
    res.redirect(303, '/');
  });
  app.post('/logout', withSession, async (req, res) => {
    await req.session.destroy();
    res.redirect(303, '/');
  });
  app.get('/about-you', async (req, res) => {
    const { intelligence, query } = req;
    const started = performance.now();
    const explanation = await intelligence.explain();
    const tookMs = (performance.now() - started).toFixed(1);
    const { degraded } = intelligence;
    res.render('about-you', { explanation, forgotten: query.forgotten, degraded, tookMs, waited: true });
  });
  app.post('/about-you/forget', async (req, res) => {
    const isForgotten = await req.intelligence.forget();
    res.redirect(303, `/about-you?forgotten=${isForgotten ? 'yes' : 'no'}`);
  });

  if (staffPassword !== undefined) app.use('/staff', staffPages(staffPassword, notifications));
  app.use(notFound, withoutStack);
  const close = async () => {
    await sessions.close();
    await notifications.close();
  };
  return { app, close };
}

/** The page that a form was on, if it is one of ours: no form sends anybody elsewhere. */
function ownPath(back: unknown): string {
  const base = 'http://shop';
  const url = URL.canParse(String(back), base) ? new URL(String(back), base) : undefined;
  // a path that begins with two slashes would lead to another host
  return url?.origin === base && String(back).startsWith('/') ? url.pathname.replace(/^\/+/, '/') + url.search : '/';
}

/** A path for people to read; as it is where it can't be decoded. */
function readable(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
