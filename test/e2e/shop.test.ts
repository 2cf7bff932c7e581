import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Browser, chromium, type Page } from 'playwright-core';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createShop } from '../../demo/shop.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { BROWSER, Site } from '../support/site.js';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
const pictures = fileURLToPath(new URL('./screenshots/', import.meta.url));

describe('a visitor’s way through the shop, in Chromium', () => {
  let redis: PrivateRedis;
  let worker: WorkerProcess;
  let shop: ReturnType<typeof createShop>;
  let site: Site;
  let browser: Browser;
  let page: Page;

  const picture = (name: string) => page.screenshot({ path: `${pictures}${name}.png`, fullPage: true });
  const text = (selector: string) => page.textContent(selector);

  before(async function () {
    if (!executablePath) {
      if (process.env.CI) throw new Error('Chromium is not there: apt-get install chromium');
      process.stderr.write('pending: the shop in Chromium: apt-get install chromium\n');
      this.skip();
    }
    mkdirSync(pictures, { recursive: true });
    redis = await startPrivateRedis();
    worker = new WorkerProcess(['--redis', redis.url, '--namespace', 'shop:']);
    await worker.start();
    shop = createShop({ redis: redis.url, namespace: 'shop:', secret: 'e2e' }, worker);
    site = await Site.open(shop.app);
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
    });
    // a headless browser says that it is one, and would be taken for a bot
    page = await browser.newPage({ viewport: { width: 1100, height: 760 }, userAgent: BROWSER });
  });

  after(async () => {
    await browser?.close();
    await site?.close();
    await shop?.sessions.close();
    await worker?.stop();
    await redis?.stop();
  });

  it('welcomes somebody new, and counts', async () => {
    await page.goto(site.url);
    expect(await text('#status')).to.contain('you are new here');
    expect(await text('#total')).to.equal('1');
    expect(await page.locator('.badge').count()).to.equal(4);
    await picture('1-home');
  });

  it('suggests the cable once television and mount are in the cart', async () => {
    await page.click('a[href="/added/tv"]');
    await picture('2-added');
    await page.goto(`${site.url}/confirm-purchase`);
    expect(await page.locator('#suggestion').count()).to.equal(0);
    await page.goto(site.url);
    await page.click('a[href="/added/tv-mount"]');
    await page.click('text=Check out');
    expect(await text('#suggestion')).to.contain('HDMI cable');
    await picture('3-suggestion');
  });

  it('marks what was visited, and waits on a critical page', async () => {
    await page.goto(site.url);
    expect(await page.locator('.badge').count()).to.equal(2);
    await page.click('a[href="/added-sync/headphones"]');
    expect(await text('#status')).to.contain('The worker answered');
  });

  it('keeps notifications read, and shows their text as text', async () => {
    await page.goto(`${site.url}/notifications`);
    expect(await page.locator('.unread').count()).to.equal(3);
    expect(await text('.notifications')).to.contain('HDMI <2 m> now');
    await page.click('.unread button');
    expect(await page.locator('.unread').count()).to.equal(2);
    await picture('4-notifications');
    await page.goto(`${site.url}/raw-session-analytics`);
    expect(JSON.parse((await text('pre')) ?? '')).to.nested.include({ 'notifications[0].seen': true, combo: true });
  });

  it('escapes what a visitor writes into an address', async () => {
    await page.goto(`${site.url}/added/${encodeURIComponent('<img src=x onerror=alert(1)>')}`);
    expect(await text('h1')).to.contain('<img src=x');
    expect(await page.locator('main img').count()).to.equal(0);
  });

  it('goes on without the worker, and shows its figures again after its return', async () => {
    await page.goto(site.url);
    const before = Number(await text('#total'));
    await page.click('text=Stop the worker');
    expect(await text('#status')).to.contain('Degraded mode');
    expect(await page.locator('.cards li').count()).to.equal(4);
    await picture('5-degraded');
    await page.click('text=Start the worker');
    expect(await text('#status')).to.contain('The worker answered');
    expect(Number(await text('#total'))).to.equal(before + 1);
    await picture('6-recovered');
  });
});
