import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import fc from 'fast-check';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { type IntelligentSession, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { fuzz, RUNS } from '../support/fuzz.js';
import { FaultyProxy } from '../support/proxy.js';
import { BROWSER, Site } from '../support/site.js';
import { until } from '../support/until.js';

type WithUser = SessionData & { user?: string };

const PAGES = ['/a', '/b', '/c', '/d', '/e'];
const IDS = ['n1', 'n2', 'n3'];
const USERS = ['ann', 'bob'] as const;
const namespace = 'visitors:';
/** Some hundreds, and all 10,000 where more is asked for: each is some twenty requests. */
const CASES = process.env.FUZZ_RUNS === undefined ? 400 : Math.min(RUNS, 10_000);
const TIMEOUT_MS = 60_000 + CASES * 400;
const MAX_STEPS = 12;

type Login = 'assign' | 'regenerate' | 'passport';
type Logout = 'destroy' | 'delete' | 'regenerate' | 'passport';
/** What one device does next, by which of the two processes. */
type Step = { readonly device: 0 | 1; readonly at: 0 | 1 } & (
  | { readonly act: 'view' | 'mark'; readonly item: number }
  | { readonly act: 'login'; readonly user: (typeof USERS)[number]; readonly how: Login; readonly isRetried: boolean }
  | { readonly act: 'logout'; readonly how: Logout; readonly isRetried: boolean }
  | { readonly act: 'rotate' | 'rotate twice' | 'views at once' | 'crash' }
);

const where = { device: fc.constantFrom(0 as const, 1 as const), at: fc.constantFrom(0 as const, 1 as const) };
const isRetried = fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const only = (...acts: ('rotate' | 'rotate twice' | 'views at once' | 'crash')[]) =>
  fc.record({ ...where, act: fc.constantFrom(...acts) });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ ...where, act: fc.constant('view' as const), item: fc.nat(4) }) },
    { weight: 3, arbitrary: fc.record({ ...where, act: fc.constant('mark' as const), item: fc.nat(2) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        ...where,
        act: fc.constant('login' as const),
        user: fc.constantFrom('ann' as const, 'ann' as const, 'bob' as const),
        how: fc.constantFrom<Login>('assign', 'regenerate', 'passport'),
        isRetried,
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        ...where,
        act: fc.constant('logout' as const),
        how: fc.constantFrom<Logout>('destroy', 'delete', 'regenerate', 'passport'),
        isRetried,
      }),
    },
    { weight: 2, arbitrary: only('rotate', 'rotate twice', 'views at once') },
    { weight: 1, arbitrary: only('crash') },
  ),
  { minLength: 1, maxLength: MAX_STEPS },
);

/** What one session would have, if it had been the only one. */
class Profile {
  views = 0;
  readonly pages = new Set<string>();
  readonly seen = new Set<string>();

  view(page: string): object {
    const previouslyVisited = this.pages.has(page);
    this.pages.add(page);
    return { totalPages: ++this.views, uniquePages: this.pages.size, previouslyVisited };
  }

  add(other: Profile): void {
    this.views += other.views;
    for (const page of other.pages) this.pages.add(page);
    for (const id of other.seen) this.seen.add(id);
  }

  get whatIsNew(): object {
    return {
      fresh: PAGES.filter((page) => !this.pages.has(page)),
      seen: IDS.filter((id) => this.seen.has(id)),
    };
  }
}

function appOf(sessions: IntelligentSession) {
  const app = express();
  app.use(sessions);
  const session = (req: express.Request) => req.session as typeof req.session & WithUser;
  const logins: Record<Login, (req: express.Request) => Promise<void>> = {
    async assign(req) {
      session(req).user = String(req.params.user);
    },
    async regenerate(req) {
      await req.session.regenerate();
      session(req).user = String(req.params.user);
    },
    async passport(req) {
      await req.session.regenerate();
      session(req).user = String(req.params.user);
      await req.session.save();
    },
  };
  const logouts: Record<Logout, (req: express.Request) => Promise<void>> = {
    destroy: (req) => req.session.destroy(),
    regenerate: (req) => req.session.regenerate(),
    async delete(req) {
      delete session(req).user;
    },
    async passport(req) {
      delete session(req).user;
      await req.session.save();
      await req.session.regenerate();
    },
  };
  app.post('/login/:how/:user', async (req, res) => {
    await logins[req.params.how as Login](req);
    res.end();
  });
  app.post('/logout/:how', async (req, res) => {
    await logouts[req.params.how as Logout](req);
    res.end();
  });
  app.post('/rotate', async (req, res) => {
    const { user } = session(req);
    const wasFound = req.headers.cookie?.includes(encodeURIComponent(req.sessionID)) ?? false;
    await req.session.regenerate();
    if (user !== undefined) session(req).user = user;
    res.json(wasFound);
  });
  app.post('/mark/:id', async (req, res) => {
    res.json((await req.intelligence.markNotificationSeen(req.params.id)) ?? null);
  });
  app.get('/fresh', async (req, res) => void res.json(await req.intelligence.freshPages(PAGES)));
  app.get('/all', async (req, res) => {
    const [fresh, notes] = await Promise.all([req.intelligence.freshPages(PAGES), req.intelligence.notifications(IDS)]);
    const seen = notes.filter((note) => note.seen).map(({ id }) => id);
    res.json({ fresh, seen, view: await req.intelligence.pageview() });
  });
  app.get(/.*/, async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
  return app;
}

/** A process of the site, behind a network that a crash cuts. */
class Instance {
  private constructor(
    readonly sessions: IntelligentSession,
    readonly site: Site,
    readonly proxy: FaultyProxy,
  ) {}

  static async open(port: number, options: IntelligentSessionOptions): Promise<Instance> {
    const proxy = await FaultyProxy.open(port);
    const sessions = intelligentSession({
      ...{ redis: proxy.url, namespace, secret: 'test', worker: 'embedded', timeout: 9000, track: false },
      ...options,
      user: (session: WithUser) => session.user,
    } as IntelligentSessionOptions);
    for (const emitter of [sessions.serving, sessions.store]) emitter.on('away', () => {}).on('fault', () => {});
    const site = await Site.open(appOf(sessions));
    await sessions.serving.ask('combo', 'warm', ['/a'], { ttlSeconds: 1, timeoutMs: 9000 });
    return new Instance(sessions, site, proxy);
  }

  /** It says nothing more to anybody, whatever it was about to say. */
  async crash(): Promise<void> {
    this.proxy.refuses = true;
    this.proxy.cut();
    await Promise.all([this.sessions.close({ timeout: 0 }), this.site.close(), this.proxy.close()]);
  }

  async close(): Promise<void> {
    await this.sessions.close();
    await Promise.all([this.site.close(), this.proxy.close()]);
  }
}

const agent = new Agent({ keepAlive: true });

/** A browser, and whom it is for the model. */
class Device {
  cookie = '';
  user: string | undefined;
  profile = new Profile();
  /** Somebody has logged in here, and no request since has brought what was theirs. */
  isPending = false;

  async send(instance: Instance, method: 'GET' | 'POST', path: string, cookie = this.cookie) {
    const headers = { 'user-agent': BROWSER, ...(cookie && { cookie }) };
    const sent = request(instance.site.url + path, { method, agent, headers }).end();
    const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve).on('error', reject);
    });
    const body = await text(response);
    expect(response.statusCode, body).to.equal(200);
    const set = response.headers['set-cookie']?.[0]?.split(';', 1)[0];
    return { body, cookie: set ?? cookie };
  }

  async fetch(instance: Instance, method: 'GET' | 'POST', path: string): Promise<any> {
    const { body, cookie } = await this.send(instance, method, path);
    this.cookie = cookie;
    return body === '' ? undefined : JSON.parse(body);
  }
}

/** One case: the requests of two devices to two processes, and what they are to give. */
class Story {
  readonly devices = [new Device(), new Device()] as const;
  readonly users: Record<string, Profile> = {};

  constructor(
    readonly instances: Instance[],
    readonly openInstance: () => Promise<Instance>,
    /** Users of their own for each case. */
    readonly nameOf: (user: string) => string,
  ) {}

  async run(all: readonly Step[]): Promise<void> {
    for (const step of all) await this.#act(step);
    for (const device of this.devices) await this.#bring(device);
    for (const device of this.devices) await this.#compare(device);
    for (const [user, profile] of Object.entries(this.users)) {
      if (this.devices.some((device) => device.user === user)) continue;
      const outside = (this.instances[0] as Instance).sessions.of({ user });
      expect(await outside.freshPages(PAGES), user).to.deep.equal(PAGES.filter((page) => !profile.pages.has(page)));
      expect(await outside.pageview('/a'), user).to.include(profile.view('/a'));
    }
  }

  async #act(step: Step): Promise<void> {
    const device = this.devices[step.device];
    const instance = this.instances[step.at] as Instance;
    if (step.act === 'crash') return this.#crash(step.at);
    // What somebody else is bringing to the same user may come before or after: then only the end is compared.
    const isCertain = !this.devices.some((other) => other !== device && other.isPending && other.user === device.user);
    if (step.act === 'view') {
      const page = PAGES[step.item] as string;
      const report = await device.fetch(instance, 'GET', page);
      const expected = device.profile.view(page);
      if (isCertain) expect(report).to.include(expected);
      device.isPending = false;
    } else if (step.act === 'mark') {
      const id = IDS[step.item] as string;
      const wasUnread = await device.fetch(instance, 'POST', `/mark/${id}`);
      if (isCertain) expect(wasUnread).to.equal(!device.profile.seen.has(id));
      device.profile.seen.add(id);
      device.isPending = false;
    } else if (step.act === 'views at once') {
      await device.fetch(instance, 'GET', '/fresh'); // There is a session, of which both are.
      await Promise.all(this.instances.map((one) => device.fetch(one, 'GET', '/a')));
      device.profile.view('/a');
      device.profile.view('/a');
      device.isPending = false;
    } else if (step.act === 'login') await this.#login(device, instance, step.user, step.how, step.isRetried);
    else if (step.act === 'logout') await this.#logout(device, instance, step.how, step.isRetried);
    else await this.#rotate(device, instance, step.act === 'rotate twice');
  }

  async #login(device: Device, instance: Instance, who: string, how: Login, isRetried: boolean): Promise<void> {
    await this.#bring(device);
    const user = this.nameOf(who);
    const path = `/login/${how}/${user}`;
    if (isRetried) {
      // The answer is lost: the browser asks again with the cookie that it has. What the first one has begun goes on.
      const lost = await device.send(instance, 'POST', path);
      await device.send(instance, 'GET', '/fresh', lost.cookie);
    }
    await device.fetch(instance, 'POST', path);
    this.users[user] ??= new Profile();
    if (device.user === undefined) this.users[user].add(device.profile);
    device.user = user;
    device.profile = this.users[user];
    device.isPending = true;
  }

  async #logout(device: Device, instance: Instance, how: Logout, isRetried: boolean): Promise<void> {
    // A session that ends before anything was brought loses it (docs/users.md).
    await this.#bring(device);
    const { cookie, user } = device;
    await device.fetch(instance, 'POST', `/logout/${how}`);
    const isNew = user !== undefined || how === 'destroy';
    const replaces = how === 'regenerate' || how === 'passport';
    // Nothing links the old cookie to the session that has come in its place.
    const losesIt = isRetried && cookie !== '' && replaces;
    if (isRetried) {
      device.cookie = cookie;
      await device.fetch(instance, 'POST', `/logout/${how}`);
    }
    device.user = undefined;
    if (isNew || losesIt || cookie === '') device.profile = new Profile();
  }

  async #rotate(device: Device, instance: Instance, twice: boolean): Promise<void> {
    await this.#bring(device);
    if (!twice || device.cookie === '') {
      await device.fetch(instance, 'POST', '/rotate');
      return;
    }
    const { cookie } = device;
    const both = await Promise.all(this.instances.map((one) => device.send(one, 'POST', '/rotate', cookie)));
    // Who comes when the other one has destroyed the session finds none, and is a new visitor.
    const [last] = both.filter(({ body }) => body === 'true').reverse();
    device.cookie = (last ?? (both[1] as { cookie: string })).cookie;
  }

  /** A process is killed between two steps: whatever it was about to send is lost, and another takes its place. */
  async #crash(at: number): Promise<void> {
    const [dead, next] = [this.instances[at] as Instance, await this.openInstance()];
    this.instances[at] = next;
    await dead.crash();
  }

  /** Asks something, so that what was known before a login is the user's. */
  async #bring(device: Device): Promise<void> {
    if (!device.isPending) return;
    await device.fetch(this.instances[0] as Instance, 'GET', '/fresh');
    device.isPending = false;
  }

  async #compare(device: Device): Promise<void> {
    const { view, ...whatIsNew } = await device.fetch(this.instances[1] as Instance, 'GET', '/all');
    expect(whatIsNew).to.deep.equal(device.profile.whatIsNew);
    expect(view).to.include(device.profile.view('/all'));
  }
}

for (const [title, options] of [
  ['', {}],
  [', with itemSecret', { itemSecret: 'a secret of more than sixteen' }],
] as const)
  describe(`fuzz: a visitor who logs in and out${title}`, () => {
    let redis: PrivateRedis;
    const instances: Instance[] = [];
    const open = () => Instance.open(redis.port, options);

    before(async () => {
      redis = await startPrivateRedis();
      instances.push(await open(), await open());
    });
    after(async () => {
      agent.destroy();
      await Promise.all(instances.map((one) => one.close()));
      await redis?.stop();
    });

    it('has the profile that one session would have, whatever happens between', async function () {
      this.timeout(TIMEOUT_MS);
      let number = 0;
      await fuzz(
        steps,
        async (all) => {
          const run = number++;
          await new Story(instances, open, (user) => `${user}-${run}`).run(all);
        },
        { runs: options.itemSecret ? CASES / 4 : CASES, timeoutMs: TIMEOUT_MS },
      );
    });

    if (options.itemSecret) return;
    it('is one of a thousand who log in as one user: no error, and no more false answers than twice the rate', async function () {
      this.timeout(120_000);
      const faults: Error[] = [];
      const [instance] = instances as [Instance];
      instance.sessions.serving.on('fault', (error) => faults.push(error));
      const visit = async (i: number) => {
        const device = new Device();
        await device.fetch(instance, 'GET', `/page/${i}`);
        await device.fetch(instance, 'POST', `/mark/note-${i}`);
        await device.fetch(instance, 'POST', '/login/regenerate/everybody');
      };
      for (let i = 0; i < 1000; i += 10) await Promise.all(Array.from({ length: 10 }, (_, j) => visit(i + j)));
      const user = instance.sessions.of({ user: 'everybody' });
      await until(
        'all is the user’s',
        async () => (await user.freshPages(Array.from({ length: 1000 }, (_, i) => `/page/${i}`))).length === 0,
      );
      const others = Array.from({ length: 10_000 }, (_, i) => `/never/${i}`);
      expect((await user.freshPages(others)).length, 'pages that nobody has seen').to.be.at.least(9800);
      const notes = await user.notifications(
        Array.from({ length: 10_000 }, (_, i) => (i < 1000 ? `note-${i}` : `never-${i}`)),
      );
      expect(
        notes.slice(0, 1000).every(({ seen }) => seen),
        'all that were read',
      ).to.equal(true);
      expect(notes.slice(1000).filter(({ seen }) => seen).length, 'that nobody has read').to.be.at.most(180);
      expect(await user.pageview('/page/0')).to.include({ totalPages: 1001, previouslyVisited: true });
      expect(faults).to.deep.equal([]);
    });
  });
