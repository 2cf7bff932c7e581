import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { expect } from 'chai';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createShop } from '../../demo/shop.js';
import { closeContexts, launchChromium } from '../support/chromium.js';
import { cached } from '../support/servers.js';
import { BROWSER, Site } from '../support/site.js';
import { until } from '../support/until.js';

const pictures = fileURLToPath(new URL('./screenshots/', import.meta.url));
const STAFF = 'open, sesame';
const FIRST = 3;

for (const [bloom, args] of [
  ['on RedisBloom', ['--loadmodule', cached('redisbloom.so')]],
  ['on plain Redis', []],
] as const)
  describe(`the shop’s notifications, in Chromium, ${bloom}`, function () {
    this.timeout(60_000);
    let redis: PrivateRedis;
    let shop: ReturnType<typeof createShop>;
    let site: Site;
    let browser: Browser;
    const contexts: BrowserContext[] = [];

    /** somebody with a browser of their own */
    const somebody = async (options: BrowserContextOptions = {}): Promise<Page> => {
      const context = await browser.newContext({
        userAgent: BROWSER,
        viewport: { width: 1280, height: 800 },
        ...options,
      });
      contexts.push(context);
      return context.newPage();
    };
    const open = (page: Page, path = '/') => page.goto(site.url + path);
    const logIn = async (page: Page, name: string) => {
      await open(page, '/login');
      await page.fill('#name', name);
      await page.getByRole('button', { name: 'Log in', exact: true }).click();
    };
    const bell = async (page: Page) => {
      const badge = page.locator('[data-notifications-badge]');
      return (await badge.isVisible()) ? Number(await badge.textContent()) : 0;
    };
    const shows = (page: Page, unread: number) =>
      until(`the bell shows ${unread}`, async () => (await bell(page)) === unread);
    const picture = (page: Page, name: string) => page.screenshot({ path: `${pictures}${name}.png`, fullPage: true });
    const staff = () => somebody({ httpCredentials: { username: 'staff', password: STAFF } });
    const publish = async (page: Page, to: string, title: string, more: Record<string, string> = {}) => {
      await open(page, '/staff');
      await page.check(`input[value=${to}]`);
      for (const [field, text] of Object.entries({ title, ...more })) await page.fill(`[name=${field}]`, text);
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.waitForSelector('#sent, #refused');
    };

    before(async function () {
      mkdirSync(pictures, { recursive: true });
      browser = await launchChromium(this, 'the shop’s notifications');
    });
    // each test has a shop of its own: what is published for everybody would be there for the next
    beforeEach(async () => {
      redis = await startPrivateRedis({ args });
      shop = createShop(
        { redis: redis.url, namespace: 'shop:', secret: 'e2e', worker: 'embedded', timeout: 2000 },
        { staffPassword: STAFF },
      );
      site = await Site.open(shop.app);
    });
    afterEach(async function () {
      this.timeout(60_000); // Chromium takes its time on a busy machine
      await closeContexts(contexts.splice(0));
      await site?.close();
      await shop?.close();
      await redis?.stop();
    });
    after(() => browser?.close());

    it('move the bell of everybody whose page is open, by one publication', async () => {
      const [one, other, back] = [await somebody(), await somebody(), await staff()];
      await open(one);
      await open(other, '/confirm-purchase');
      await shows(one, FIRST);
      await shows(other, FIRST);
      await publish(back, 'everybody', 'Closed on Friday');
      await shows(one, FIRST + 1);
      await shows(other, FIRST + 1);
      await one.click('.bell');
      expect(await one.locator('.unread').first().textContent()).to.contain('Closed on Friday');
      await back.getByRole('button', { name: 'Remove: Closed on Friday' }).click();
      await shows(other, FIRST);
    });

    it('are read in one tab, and the user’s other browser knows at once; another visitor’s bell stays', async () => {
      const [first, second, other] = [await somebody(), await somebody(), await somebody()];
      await logIn(first, 'Ann');
      await logIn(second, 'Ann');
      await open(other);
      await shows(first, FIRST + 1); // and her welcome
      await shows(second, FIRST + 1);
      await first.click('.bell');
      await first.getByRole('button', { name: 'Mark as read: Welcome, Ann' }).click();
      await shows(second, FIRST);
      await first.getByRole('button', { name: 'Mark all as read' }).click();
      await shows(first, 0);
      await shows(second, 0);
      expect(await first.locator('.unread').count()).to.equal(0);
      expect(await bell(other)).to.equal(FIRST);
      await open(second, '/notifications');
      expect(await second.locator('.read').count()).to.equal(FIRST + 1);
    });

    it('reach a group, or one user, and nobody else', async () => {
      const [ann, bob, visitor, back] = [await somebody(), await somebody(), await somebody(), await staff()];
      await logIn(ann, 'Ann');
      await logIn(bob, 'Bob');
      await open(visitor);
      for (const page of [ann, bob]) await shows(page, FIRST + 1);
      await publish(back, 'members', 'Members pay less');
      for (const page of [ann, bob]) await shows(page, FIRST + 2);
      await publish(back, 'user', 'Your parcel is here', { name: 'Ann', body: 'At the counter', link: '/thank-you' });
      await shows(ann, FIRST + 3);
      expect([await bell(bob), await bell(visitor)]).to.deep.equal([FIRST + 2, FIRST]);
      await open(ann, '/notifications');
      expect(await ann.locator('.unread').first().textContent()).to.match(/Your parcel is here\s+At the counter/);
      await picture(ann, `notifications-unread-1280`);
      await ann.getByRole('link', { name: 'Your parcel is here' }).click();
      expect(new URL(ann.url()).pathname).to.equal('/confirm-purchase');
    });

    it('end at a logout: the next visitor’s bell shows what is for everybody', async () => {
      const [ann, back] = [await somebody(), await staff()];
      await logIn(ann, 'Ann');
      await shows(ann, FIRST + 1);
      await ann.getByRole('button', { name: 'Log out' }).click();
      await shows(ann, FIRST);
      await publish(back, 'user', 'Only for Ann', { name: 'Ann' });
      await publish(back, 'everybody', 'For everybody');
      await shows(ann, FIRST + 1);
    });

    it('need no JavaScript to be right', async () => {
      const [plain, back] = [await somebody({ javaScriptEnabled: false }), await staff()];
      await open(plain);
      expect(await bell(plain)).to.equal(FIRST);
      await publish(back, 'everybody', 'One more');
      await open(plain, '/notifications');
      expect(await bell(plain)).to.equal(FIRST + 1);
      await plain.getByRole('button', { name: 'Mark all as read' }).click();
      expect([await bell(plain), await plain.locator('.unread').count()]).to.deep.equal([0, 0]);
    });

    it('are published by who has the password, from the shop’s own page, and show text as text', async () => {
      const [back, reader] = [await staff(), await somebody()];
      for (const authorization of ['', `Basic ${btoa('staff:open')}`, `Basic ${btoa(STAFF)}:`, `Bearer ${STAFF}`])
        expect((await fetch(`${site.url}/staff`, { headers: { authorization } })).status).to.equal(401);
      const headers = { origin: 'http://evil.example', authorization: `Basic ${btoa(`staff:${STAFF}`)}` };
      const body = new URLSearchParams({ to: 'everybody', title: 'Evil' });
      const sent = await fetch(`${site.url}/staff/publish`, { method: 'POST', headers, body });
      expect(sent.status, 'from a page elsewhere').to.equal(403);
      await publish(back, 'everybody', 'Bad link', { link: 'javascript:alert(1)' });
      expect(await back.textContent('#refused')).to.contain('link');
      expect(await back.inputValue('#title'), 'what was written stays').to.equal('Bad link');
      await publish(back, 'user', 'To nobody', { name: '<b>' });
      expect(await back.textContent('#refused')).to.contain('Choose to whom');
      await publish(back, 'everybody', '<img src=x onerror=alert(1)>');
      await open(reader, '/notifications');
      expect(await reader.textContent('.notifications')).to.contain('<img src=x onerror=alert(1)>');
      expect(await reader.locator('main img').count()).to.equal(0);
    });

    it('have pages that need no scrolling to the side, and that axe finds nothing wrong with', async () => {
      const [ann, back] = [await somebody(), await staff()];
      await logIn(ann, 'Wilhelmina von Hohenstaufen-Ho');
      await publish(back, 'everybody', 'A title that is as long as the form takes it'.padEnd(120, ' and longer'), {
        body: 'More to say. '.repeat(12),
      });
      for (const [page, path] of [
        [ann, '/notifications'],
        [back, '/staff'],
      ] as const)
        for (const width of [390, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          await open(page, path);
          const name = `${path.slice(1)} at ${width} px`;
          expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), name).to.be.at.most(0);
          await picture(page, `${path.slice(1)}-live-${width}`);
          await page.evaluate(`${axe.source}; undefined`);
          const found = await page.evaluate('axe.run().then(({ violations }) => violations.map(({ id }) => id))');
          expect(found, name).to.deep.equal([]);
        }
    });
  });
