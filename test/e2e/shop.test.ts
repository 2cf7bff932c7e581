import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { expect } from 'chai';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createShop } from '../../demo/shop.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { closeContexts, launchChromium } from '../support/chromium.js';
import { BROWSER, Site } from '../support/site.js';

const pictures = fileURLToPath(new URL('./screenshots/', import.meta.url));
const TELEVISION = 'Television, 55 inches';
const MOUNT = 'TV wall mount';
/** A user gets one notification more than everybody. */
const WELCOME = 1;

describe('a visitor’s way through the shop, in Chromium', () => {
  let redis: PrivateRedis;
  let worker: WorkerProcess;
  let shop: ReturnType<typeof createShop>;
  let site: Site;
  let browser: Browser;
  let page: Page;
  const contexts: BrowserContext[] = [];

  const picture = (name: string) => page.screenshot({ path: `${pictures}${name}.png`, fullPage: true });
  const text = async (selector: string) => (await page.textContent(selector))?.replace(/\s+/g, ' ').trim();
  const open = (path: string) => page.goto(site.url + path);
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const add = async (name: string) => {
    await open('/');
    await press(`Add to cart: ${name}`);
  };
  const logIn = async (name: string) => {
    await open('/login');
    await page.fill('#name', name);
    await press('Log in');
  };
  const known = async () => {
    await open('/');
    const badges = await page.locator('.badge').count();
    await open('/notifications');
    return { badges, unread: await page.locator('.unread').count() };
  };
  const learn = async () => {
    await add(TELEVISION);
    await open('/notifications');
    await page.click('.unread button');
  };
  const everything = { badges: 4, unread: 3 };
  /** a browser of its own, which `page` is from now on; the others stay as they are */
  const newBrowser = async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, userAgent: BROWSER });
    contexts.push(context);
    page = await context.newPage();
    return page;
  };

  before(async function () {
    browser = await launchChromium(this, 'the shop');
    mkdirSync(pictures, { recursive: true });
    redis = await startPrivateRedis({ password: 'e2e' });
    worker = new WorkerProcess(['--namespace', 'shop:'], 'inherit', { REDIS_URL: redis.url });
    await worker.start();
    shop = createShop({ redis: redis.url, namespace: 'shop:', secret: 'e2e', timeout: 2000 }, { worker });
    site = await Site.open(shop.app);
  });

  // each test is somebody new; a headless browser says that it is one, and would be taken for a bot
  beforeEach(newBrowser);
  afterEach(async function () {
    this.timeout(60_000); // Chromium takes its time on a busy machine
    await closeContexts(contexts.splice(0));
  });

  after(async () => {
    await browser?.close();
    await site?.close();
    await shop?.close();
    await worker?.stop();
    await redis?.stop();
  });

  it('welcomes somebody new, who is not called away, and counts', async () => {
    await open('/');
    expect(await text('#status')).to.contain('you are new here');
    expect(await text('#total')).to.equal('1');
    expect(await text('#presence')).to.equal('just arrived');
    expect(await page.locator('.badge').count()).to.equal(4);
    await open('/');
    expect(await text('#presence')).to.equal('active');
  });

  it('keeps in the cart what was put into it, by its name, till it is bought or taken out', async () => {
    await add(TELEVISION);
    expect(await text('h1')).to.equal(`In your cart: ${TELEVISION}`);
    await add('Soundbar');
    await add('Soundbar');
    await page.click('text=Check out');
    expect(await text('.lines')).to.equal(`${TELEVISION} €649 Remove Soundbar × 2 €358 Remove Together €1,007`);
    expect(await text('nav')).to.contain('Cart (3)');
    await press(`Remove ${TELEVISION}`);
    expect(await text('.lines')).to.equal('Soundbar × 2 €358 Remove Together €358');
    await press('Buy for €358');
    expect(await text('h1')).to.equal('Thank you for your purchase');
    expect(await text('.lines')).to.equal('Soundbar × 2 €358 Together €358');
    await open('/confirm-purchase');
    expect(await page.locator('.lines').count()).to.equal(0);
  });

  it('sells nothing to somebody whose cart is empty, and says so', async () => {
    await open('/confirm-purchase');
    expect(await text('#empty')).to.contain('nothing in it yet');
    expect(await page.getByRole('button', { name: /^Buy/ }).count()).to.equal(0);
    await open('/thank-you');
    expect(await text('h1')).to.equal('Your cart');
    // somebody who has emptied it in another tab
    await add('Soundbar');
    await open('/confirm-purchase');
    const other = await page.context().newPage();
    await other.goto(`${site.url}/confirm-purchase`);
    await other.getByRole('button', { name: 'Remove Soundbar' }).click();
    await press('Buy for €179');
    expect(await text('#empty')).to.contain('nothing in it yet');
    await open('/added/soundbar');
    expect(await text('h1'), 'it is not in the cart').to.equal('For your living room');
  });

  for (const order of [
    [TELEVISION, MOUNT],
    [MOUNT, TELEVISION],
  ] as const)
    it(`suggests the cable once there are in the cart: ${order.join(', then ')}`, async () => {
      await add(order[0]);
      await open('/confirm-purchase');
      expect(await page.locator('#suggestion').count()).to.equal(0);
      await add(order[1]);
      // the other address of the same page is no other page
      await open('/added-sync/tv');
      expect(new URL(page.url()).pathname).to.equal('/added/tv');
      await page.click('text=Check out');
      expect(await text('#suggestion')).to.contain('HDMI cable');
      await press('Add to cart');
      expect(await text('h1')).to.equal('In your cart: HDMI cable, 2 m');
      await page.click('text=Check out');
      expect(await page.locator('#suggestion').count(), 'it is in the cart').to.equal(0);
    });

  it('marks what was visited, and waits on a critical page', async () => {
    await add(TELEVISION);
    await open('/');
    expect(await page.locator('.badge').count()).to.equal(3);
    await press('Add to cart: Headphones');
    expect(await text('#status')).to.contain('The worker answered');
  });

  it('keeps notifications read, and shows their text as text', async () => {
    await open('/notifications');
    expect(await page.locator('.unread').count()).to.equal(3);
    expect(await text('.notifications')).to.contain('HDMI <2 m> now');
    await page.click('.unread button');
    expect(await page.locator('.unread').count()).to.equal(2);
    await open('/raw-session-analytics');
    expect(JSON.parse((await text('pre')) ?? '')).to.nested.include({ 'notifications[0].seen': true, combo: false });
  });

  it('has a page for an address that is none, and escapes what a visitor writes into it', async () => {
    const response = await open(`/added/${encodeURIComponent('<img src=x onerror=alert(1)>')}`);
    expect(response?.status()).to.equal(404);
    expect(await text('main'))
      .to.contain('There is no such page')
      .and.to.contain('<img src=x');
    expect(await page.locator('main img').count()).to.equal(0);
    for (const path of ['/favicon.ico', '/favicon.svg'])
      expect((await fetch(site.url + path)).headers.get('content-type')).to.contain('image/svg+xml');
    await page.click('text=Back to the shop');
    expect(await text('h1')).to.equal('For your living room');
  });

  it('shows one process, a worker, and none, by a switch that stays on the page that it was on', async () => {
    await open('/notifications?from=here');
    const here = page.url();
    const pressed = () => text('.modes [aria-pressed=true]');
    expect([await pressed(), await text('#status')].join()).to.match(/^A worker,The worker answered/);
    await page.click('.unread button');

    await open('/notifications?from=here');
    await press('No worker');
    expect(page.url()).to.equal(here);
    expect([await pressed(), await text('#status')].join()).to.match(/^No worker,Degraded mode/);
    expect(worker.running).to.equal(false);

    await press('One process');
    expect(page.url()).to.equal(here);
    expect([await pressed(), await text('#status')].join()).to.match(/^One process,Answered within this process/);
    expect(await page.locator('.unread').count(), 'the same session, the same figures').to.equal(2);
    expect(worker.running).to.equal(false);

    await press('A worker');
    expect([await pressed(), await text('#status')].join()).to.match(/^A worker,The worker answered/);
    expect(worker.running).to.equal(true);
    await add('Soundbar');
    await press('A worker');
    expect(new URL(page.url()).pathname).to.equal('/added/soundbar');
  });

  it('without a worker claims nothing that it does not know, and goes on when there is one again', async () => {
    await open('/notifications');
    await press('No worker');
    await open('/');
    expect(await page.locator('.cards li').count()).to.equal(4);
    expect(await page.locator('.badge').count()).to.equal(0);
    await press('Add to cart: Soundbar');
    expect(await text('.status')).to.contain('nobody counts its view');
    await open('/notifications');
    await page.click('.unread button');
    expect(await page.locator('.unread').count(), 'notifications need no worker').to.equal(2);
    expect(await text('#status')).to.contain('Degraded mode');
    await press('A worker');
    await open('/notifications');
    expect(await page.locator('.unread').count()).to.equal(2);
  });

  it('counts nobody who says no, and shows so; the cart works, and a yes counts again', async () => {
    await open('/');
    const counted = () => text('#consent [aria-pressed=true]');
    expect(await counted()).to.equal('Yes');
    await page.locator('#consent').getByRole('button', { name: 'No' }).click();
    expect(new URL(page.url()).pathname).to.equal('/');
    expect([await counted(), await text('#status')].join()).to.match(/^No,You are not counted/);
    expect(await page.locator('.badge').count()).to.equal(0);
    await add('Soundbar');
    expect(await text('nav')).to.contain('Cart (1)');
    await open('/notifications');
    expect(await text('#uncounted')).to.contain('does not keep');
    await page.locator('#consent').getByRole('button', { name: 'Yes' }).click();
    expect([await counted(), await text('#total')]).to.deep.equal(['Yes', '2']);
  });

  it('counts nobody whose browser asks for privacy by Sec-GPC, until they say yes', async () => {
    await page.setExtraHTTPHeaders({ 'Sec-GPC': '1' });
    await open('/');
    expect(await text('#status')).to.contain('You are not counted');
    expect(await page.context().cookies()).to.deep.equal([]);
    await picture('not-counted');
    await page.locator('#consent').getByRole('button', { name: 'Yes' }).click();
    expect(await text('#status')).to.contain('you are new here');
    await picture('counted');
  });

  it('knows at a login what was seen before it, on a second browser as well, and nothing of it after the logout', async () => {
    await learn();
    const before = { badges: 3, unread: 2 + WELCOME };
    await logIn('Ann');
    expect([await text('#user'), await text('nav')].join()).to.match(/^Ann,.*Cart \(1\)/);
    expect(await known()).to.deep.equal(before);
    const first = page;
    const sidAtFirst = (await first.context().cookies())[0]?.value;

    await newBrowser();
    expect(await known(), 'somebody else').to.deep.equal(everything);
    await logIn('Ann');
    expect(await known(), 'the second browser').to.deep.equal(before);
    await add('Soundbar');
    expect(await text('nav'), 'a cart is a session’s').to.contain('Cart (1)');

    await newBrowser();
    await logIn('Bob');
    expect(await known(), 'another user').to.deep.equal({ badges: 4, unread: 3 + WELCOME });

    page = first;
    expect(await known(), 'seen on the second browser').to.deep.equal({ badges: 2, unread: 2 + WELCOME });
    await press('Log out');
    expect(await text('#status')).to.contain('you are new here');
    expect(await page.locator('.badge').count()).to.equal(4);
    expect([await text('nav'), await text('a.who')].join())
      .to.contain('Log in')
      .and.not.contain('Cart (1)');
    expect((await page.context().cookies())[0]?.value).to.not.equal(sidAtFirst);
    await logIn('Ann');
    expect(await known()).to.deep.equal({ badges: 2, unread: 2 + WELCOME });
  });

  it('gives nobody another user’s cart, and takes no name that is none', async () => {
    await logIn('<b>');
    expect([await text('#refused'), await text('.who')].join()).to.contain('begins with a letter');
    await logIn('Carol');
    await add('Soundbar');
    await logIn('Dave');
    expect(await text('#user')).to.equal('Dave');
    expect(await text('nav')).to.not.contain('Cart (');
  });

  it('says what it knows in words and figures, of one who is logged in on two browsers, and forgets it', async () => {
    await learn();
    await logIn('Eve');
    const first = page;
    await newBrowser();
    await logIn('Eve');
    await open('/about-you');
    expect(await text('#known')).to.match(/^Of your account we have counted \d+ page views .* Sessions: 2\.$/);
    expect(await text('tbody')).to.match(/^ ?\d{4}-\d\d-\d\d ?[12] ?$/);
    const sessions = JSON.parse((await text('#sessions')) ?? '');
    expect(sessions).to.have.deep.members([{ cart: ['tv'], userId: 'Eve' }, { userId: 'Eve' }]);
    const said = await text('#known');
    await open('/about-you');
    expect((await text('#known'))?.split(' It is kept')[0], 'the page itself is not counted').to.equal(
      said?.split(' It is kept')[0],
    );
    await picture('about-you-1280');
    await page.setViewportSize({ width: 390, height: 800 });
    await open('/about-you');
    await picture('about-you-390');
    await press('Forget');
    expect(await text('#forgotten')).to.contain('forgotten, on all your browsers');
    expect(await text('#nothing')).to.contain('no page view');
    expect(await page.getByRole('button', { name: 'Forget' }).count(), 'there is nothing to forget').to.equal(0);
    await picture('forgotten-390');
    page = first;
    await open('/about-you');
    expect(await text('#nothing'), 'on the first browser').to.contain('no page view');
    expect(await known()).to.deep.equal(everything);
  });

  it('forgets a visitor who is not logged in, who then begins anew, and keeps the cart', async () => {
    await learn();
    await open('/about-you');
    expect(await text('#known')).to.match(
      /^Of this browser we have counted 4 page views .* you have read of: everybody\./,
    );
    await press('Forget');
    expect(await text('#nothing')).to.contain('no page view');
    expect(await known()).to.deep.equal(everything);
    expect(await text('nav')).to.contain('Cart (1)');
    await open('/about-you?forgotten=yes');
    expect(await text('main'), 'what came since')
      .to.contain('we have counted')
      .and.not.contain('It is forgotten');
  });

  it('without a worker does not claim to know nothing, and forgets all the same; nor where somebody says no', async () => {
    await learn();
    await logIn('Frank');
    await press('No worker');
    await open('/about-you');
    expect(await text('#unknown')).to.contain('Nobody answers');
    expect(await text('#status')).to.contain('Degraded mode');
    expect(await page.locator('#nothing, #known').count()).to.equal(0);
    await press('Forget');
    expect(await text('#forgotten')).to.contain('It is forgotten');
    await press('A worker');
    await open('/about-you');
    expect(await text('#nothing')).to.contain('no page view');
    await page.locator('#consent').getByRole('button', { name: 'No' }).click();
    expect(await text('#uncounted')).to.contain('not counted');
    await press('Forget');
    expect(await text('#forgotten')).to.contain('It is forgotten');
  });

  describe('at 390 and at 1280 pixels, in every mode, has pages', () => {
    const paths = [
      '/',
      '/added/tv',
      '/confirm-purchase',
      '/thank-you',
      '/notifications',
      '/raw-session-analytics',
      '/about-you',
      '/login',
      '/no',
    ];
    const eachPage = async (check: (name: string) => Promise<void>) => {
      await logIn('Wilhelmina von Hohenstaufen-Ho');
      await add('Soundbar');
      await open('/confirm-purchase');
      await press('Buy for €179');
      await add(MOUNT);
      await add(TELEVISION);
      for (const mode of ['No worker', 'One process', 'A worker']) {
        await open('/');
        await press(mode);
        for (const width of [390, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          for (const path of paths) {
            await open(path);
            expect(new URL(page.url()).pathname).to.equal(path);
            await check(`${path}, ${mode}, ${width} px`);
            await picture(`${path.replace(/\W/g, '') || 'home'}-${mode.replace(' ', '-')}-${width}`);
          }
        }
      }
    };

    it('whose buttons stay on one line, and that need no scrolling to the side', async function () {
      this.timeout(120_000);
      await eachPage(async (name) => {
        const wrapped = await page.evaluate(`
          [...document.querySelectorAll('button, .button, nav a')]
            .filter((one) => {
              const range = document.createRange();
              range.selectNodeContents(one);
              return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1;
            })
            .map((one) => one.textContent)`);
        expect(wrapped, name).to.deep.equal([]);
        expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), name).to.be.at.most(0);
      });
    });

    it('in which axe-core finds no fault', async function () {
      this.timeout(180_000);
      await eachPage(async (name) => {
        await page.evaluate(`${axe.source}; undefined`);
        const found = await page.evaluate(`axe.run().then(({ violations, passes }) => ({
          passes: passes.length,
          violations: violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')),
        }))`);
        expect(found, name).to.have.deep.property('violations', []);
        expect(found, name).to.have.property('passes').that.is.above(10);
      });
    });
  });
});
