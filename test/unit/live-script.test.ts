import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { createContext, runInContext } from 'node:vm';
import { expect } from 'chai';
import sinon from 'sinon';
import { liveScript } from '../../middleware/live-script.js';

describe('the script of sessions.liveScript()', () => {
  let server: Server;
  let url: string;

  before(async () => {
    const script = liveScript();
    server = createServer((req, res) => {
      if (req.url === '/session') Object.assign(req, { session: {} });
      script(req, res);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  it('is less than 2 kB of JavaScript, with nothing that a strict Content-Security-Policy forbids', async () => {
    const response = await fetch(url);
    const text = await response.text();
    expect(response.headers.get('content-type')).to.equal('text/javascript; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).to.equal('nosniff');
    expect(Buffer.byteLength(text)).to.be.within(500, 2_000);
    expect(text).to.not.match(/\beval\b|\bFunction\(|innerHTML|createElement|\.style\b|import\b/);
  });

  it('is kept for an hour, and then asked for by its ETag', async () => {
    const { headers } = await fetch(url);
    expect(headers.get('cache-control')).to.equal('public, max-age=3600');
    const etag = headers.get('etag') as string;
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const { status } = await fetch(url, { headers: { 'if-none-match': tag } });
      expect(status, tag).to.equal(304);
    }
    expect((await fetch(url, { headers: { 'if-none-match': '"other"' } })).status).to.equal(200);
  });

  it('is kept by the browser alone where a cookie may come with it', async () => {
    const { headers } = await fetch(`${url}/session`);
    expect(headers.get('cache-control')).to.equal('private, max-age=3600');
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(url, { method: 'HEAD' });
    expect(Number(response.headers.get('content-length'))).to.be.above(500);
    expect(await response.text()).to.equal('');
  });

  it('takes a URL, a text', () => {
    for (const wrong of [1, '', null, {}])
      expect(() => liveScript({ url: wrong as never }), JSON.stringify(wrong)).to.throw(
        /liveScript\(\): expected "url" to be/,
      );
    expect(() => liveScript('/live' as never)).to.throw(/liveScript\(\): expected options/);
  });
});

/** As much of a page as the script uses, and an EventSource that the test speaks through. */
class Page {
  readonly badges: { dataset: Record<string, string>; textContent: unknown; hidden: boolean }[] = [];
  readonly sources: FakeEventSource[] = [];
  readonly heard: unknown[] = [];
  readonly #listeners: Record<string, (event: object) => void> = {};
  readonly document = {
    hidden: false,
    querySelector: () => (this.attribute === undefined ? null : { dataset: { notificationsLive: this.attribute } }),
    querySelectorAll: () => this.badges,
    dispatchEvent: (event: { type: string; detail: unknown }) => this.heard.push([event.type, event.detail]),
    addEventListener: (name: string, listener: () => void) => (this.#listeners[name] = listener),
  };

  constructor(
    readonly attribute?: string,
    isHidden = false,
  ) {
    this.document.hidden = isHidden;
  }

  badge(most = ''): this['badges'][number] {
    const badge = { dataset: { notificationsBadge: most }, textContent: '', hidden: true };
    this.badges.push(badge);
    return badge;
  }

  run(text: string): this {
    const { sources } = this;
    class CustomEvent {
      constructor(
        readonly type: string,
        { detail }: { detail: unknown },
      ) {
        Object.assign(this, { detail });
      }
    }
    class EventSource extends FakeEventSource {
      constructor(at: string) {
        super(at);
        sources.push(this);
      }
    }
    const addEventListener = (name: string, listener: (event: object) => void) => (this.#listeners[name] = listener);
    const { document } = this;
    const globals = { document, CustomEvent, EventSource, addEventListener, setTimeout, clearTimeout };
    runInContext(text, createContext(globals));
    return this;
  }

  show(isHidden: boolean): void {
    this.document.hidden = isHidden;
    this.#listeners.visibilitychange?.({});
  }

  comesBack(): void {
    this.#listeners.pageshow?.({ persisted: true });
  }

  get open(): FakeEventSource[] {
    return this.sources.filter(({ readyState }) => readyState < 2);
  }
}

class FakeEventSource {
  readyState = 1;
  onopen?: () => void;
  onerror?: () => void;
  #listener: ((event: { data: string }) => void) | undefined;

  constructor(readonly url: string) {}

  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    if (name === 'unread') this.#listener = listener;
  }

  close(): void {
    this.readyState = 2;
  }

  say(count: number): void {
    this.#listener?.({ data: JSON.stringify({ count }) });
  }

  fail(readyState: number): void {
    this.readyState = readyState;
    this.onerror?.();
  }
}

describe('a page with the script of sessions.liveScript()', () => {
  let clock: sinon.SinonFakeTimers;
  beforeEach(() => {
    clock = sinon.useFakeTimers();
  });
  afterEach(() => clock.restore());

  function script(options?: { url: string }): string {
    let text = '';
    const res = { setHeader: () => {}, end: (body: Buffer) => (text = body.toString()) };
    liveScript(options)({ headers: {} } as never, res as never);
    return text;
  }

  const only = (page: Page) => page.sources[0] as FakeEventSource;

  it('listens at the URL of its attribute, of the option, or at /notifications/live', () => {
    expect(only(new Page('/app/live').run(script())).url).to.equal('/app/live');
    expect(only(new Page().run(script({ url: "/it's/live" }))).url).to.equal("/it's/live");
    expect(only(new Page().run(script())).url).to.equal('/notifications/live');
  });

  it('shows the count in each badge, hides them at 0, and raises an event', () => {
    const page = new Page();
    const [plain, bounded] = [page.badge(), page.badge('9')];
    page.run(script());
    only(page).say(12);
    expect(plain).to.include({ textContent: 12, hidden: false });
    expect(bounded).to.include({ textContent: '9+', hidden: false });
    only(page).say(0);
    expect(plain).to.include({ textContent: 0, hidden: true });
    expect(bounded).to.include({ textContent: 0, hidden: true });
    expect(JSON.stringify(page.heard)).to.equal('[["notifications",{"count":12}],["notifications",{"count":0}]]');
  });

  it('listens only while somebody looks at it', () => {
    const page = new Page(undefined, true).run(script());
    expect(page.sources).to.have.length(0);
    page.show(false);
    expect(page.open).to.have.length(1);
    page.show(true);
    expect(page.open).to.have.length(0);
    page.show(false);
    page.comesBack();
    expect(page.open).to.have.length(1);
  });

  it('leaves a lost connection to the browser, and tries a refused one again, ever later', () => {
    const page = new Page().run(script());
    only(page).fail(0);
    clock.tick(3_600_000);
    expect(page.sources).to.have.length(1);

    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const { length } = page.sources;
      (page.sources.at(-1) as FakeEventSource).fail(2);
      const since = Date.now();
      while (page.sources.length === length) clock.next();
      waits.push(Date.now() - since);
    }
    expect(waits[0]).to.be.within(5_000, 10_000);
    expect(waits[1]).to.be.within(10_000, 20_000);
    expect(waits.at(-1)).to.be.within(300_000, 600_000);
    (page.sources.at(-1) as FakeEventSource).onopen?.();
    (page.sources.at(-1) as FakeEventSource).fail(2);
    clock.tick(10_000);
    expect(page.open).to.have.length(1);
  });
});
