import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import express from 'express';
import type { Browser, Page } from 'playwright-core';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSession, intelligentSession, type Worker } from '../../lib/index.js';
import { closeContexts, launchChromium } from '../support/chromium.js';
import { BROWSER, Site } from '../support/site.js';
import { until } from '../support/until.js';

const documented = readFileSync(new URL('../../docs/page-views.md', import.meta.url), 'utf8');
/** the beacon as docs/page-views.md has it */
const script = /```js browser\n([^]*?)```/.exec(documented)?.[1] as string;

describe('what Chromium navigates to', () => {
  let redis: PrivateRedis;
  let worker: Worker;
  let sessions: IntelligentSession;
  let site: Site;
  let browser: Browser;
  let page: Page;
  let seen: { path: string; purpose: string | undefined; mode: string; destination: string }[];

  before(async function () {
    browser = await launchChromium(this, 'navigation');
    redis = await startPrivateRedis();
    worker = await createWorker({ redis: redis.url });
    sessions = intelligentSession({ redis: redis.url, secret: 'test', timeout: 2000 });
    const app = express();
    app.use((req, _res, next) => {
      const { 'sec-purpose': purpose, 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = req.headers;
      seen.push({ path: req.path, purpose: purpose as string, mode: String(mode), destination: String(destination) });
      next();
    });
    app.use(sessions);
    app.post('/seen', sessions.beacon());
    app.get('/links/:how', ({ params: { how } }, res) => {
      const rules = { [how]: [{ urls: [`/shown/${how}`], eagerness: 'immediate' }] };
      const html = `<a href="/shown/${how}">on</a><script type="speculationrules">${JSON.stringify(rules)}</script>`;
      res.send(`${html}<script>${script}</script>`);
    });
    app.get('/shown/:how', (_req, res) => void res.send(`<h1>shown</h1><script>${script}</script>`));
    app.get('/worker.js', (_req, res) => {
      res.type('js').send(`addEventListener('activate', (event) => event.waitUntil(clients.claim()));
        addEventListener('fetch', (event) => event.respondWith(fetch(event.request)));`);
    });
    app.get('/wiki/:page', (_req, res) => void res.send('<h1>wiki</h1>'));
    app.post('/fresh', express.json(), async (req, res) => void res.json(await req.intelligence.freshPages(req.body)));
    site = await Site.open(app);
  });

  beforeEach(async () => {
    seen = [];
    page = await browser.newPage({ userAgent: BROWSER });
  });

  afterEach(() => closeContexts(page ? [page.context()] : []));

  after(async () => {
    await browser?.close();
    await site?.close();
    await sessions?.close();
    await worker?.close();
    await redis?.stop();
  });

  const fresh = (...pages: string[]): Promise<string[]> =>
    page.evaluate(async (body) => {
      const response = await fetch('/fresh', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      return response.json();
    }, JSON.stringify(pages)) as Promise<string[]>;

  for (const how of ['prefetch', 'prerender'])
    it(`is counted when it is shown, not at its ${how}, by the beacon of docs/page-views.md`, async () => {
      await page.goto(`${site.url}/links/${how}`);
      await until(`a ${how}`, () =>
        seen.some(({ path, purpose }) => path === `/shown/${how}` && purpose !== undefined),
      );
      expect(await fresh(`/shown/${how}`, `/links/${how}`)).to.deep.equal([`/shown/${how}`]);
      await page.click('a');
      await page.waitForSelector('h1');
      await until('the beacon', () => seen.some(({ path }) => path === '/seen'));
      await until('the page counted', async () => (await fresh(`/shown/${how}`)).length === 0);
      expect(seen.filter(({ path }) => path === '/seen')).to.have.lengthOf(1);
    });

  it('is a page behind a service worker that passes navigations on, with a dot in its path, too', async () => {
    await page.goto(`${site.url}/wiki/start`);
    await page.evaluate(`new Promise((resolve, reject) => {
      navigator.serviceWorker.addEventListener('controllerchange', resolve);
      navigator.serviceWorker.register('/worker.js', { scope: '/' }).catch(reject);
    }).then(() => true)`);
    await page.goto(`${site.url}/wiki/Node.js`);
    expect(seen.find(({ path }) => path === '/wiki/Node.js')).to.include({ mode: 'navigate', destination: 'empty' });
    expect(await fresh('/wiki/Node.js', '/wiki/Deno.js')).to.deep.equal(['/wiki/Deno.js']);
  });
});
