import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer, get } from 'node:https';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { expect } from 'chai';
import { type Cut, EventStream, EventStreams } from '../../middleware/event-streams.js';
import { makeCertificate } from '../support/certificate.js';
import { OpenedStream } from '../support/event-source.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';

describe('event streams', () => {
  const opened: (() => unknown)[] = [];
  let closed: EventStream[];
  let cuts: Cut[];
  let beats: number;

  beforeEach(() => {
    closed = [];
    cuts = [];
    beats = 0;
  });
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });

  function streams(heartbeatMs = 60_000): EventStreams<EventStream> {
    const made = new EventStreams<EventStream>(heartbeatMs, {
      closed: (stream) => void closed.push(stream),
      beat: () => (beats += 1),
      sent: () => {},
      cut: (why) => void cuts.push(why),
    });
    opened.push(() => made.endAll());
    return made;
  }

  async function serve(handler: (req: IncomingMessage, res: ServerResponse) => void): Promise<Site> {
    const site = await Site.open(handler as never);
    opened.push(() => site.close());
    return site;
  }

  async function serving(made: EventStreams<EventStream>): Promise<string> {
    return (await serve((_req, res) => void made.open(new EventStream(res)))).url;
  }

  const only = (made: EventStreams<EventStream>) => [...made][0] as EventStream;

  it('have the headers that keep proxies and compression from holding events back', async () => {
    const made = streams();
    const { response, status } = await OpenedStream.open(await serving(made));
    expect(status).to.equal(200);
    expect(response.headers).to.include({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(response.headers).to.not.have.any.keys('content-length', 'content-encoding', 'etag');
  });

  it('tell browsers to come back after 2 to 6 seconds, each at another time', async () => {
    const url = await serving(streams());
    const browsers = await Promise.all(Array.from({ length: 8 }, () => OpenedStream.open(url)));
    await until('all have a retry', () => browsers.every(({ retryMs }) => retryMs !== undefined));
    const times = browsers.map(({ retryMs }) => retryMs as number);
    expect(Math.min(...times)).to.be.at.least(2_000);
    expect(Math.max(...times)).to.be.below(6_000);
    expect(new Set(times).size).to.be.above(4);
  });

  it('say the last of what is sent in one turn of the event loop', async () => {
    const made = streams();
    const browser = await OpenedStream.open(await serving(made));
    const stream = only(made);
    for (let count = 1; count <= 5; count++) made.send(stream, 'unread', { count });
    await browser.says(5);
    made.send(stream, 'unread', { count: 6 });
    await browser.says(6);
    expect(browser.events).to.deep.equal([
      { event: 'unread', data: { count: 5 } },
      { event: 'unread', data: { count: 6 } },
    ]);
  });

  it('send to more streams than one turn of the event loop writes to, also what comes meanwhile', async () => {
    const made = streams();
    const url = await serving(made);
    const browsers = await Promise.all(Array.from({ length: 600 }, () => OpenedStream.open(url)));
    for (const stream of made) made.send(stream, 'unread', { count: 1 });
    setImmediate(() => setImmediate(() => made.send(only(made), 'unread', { count: 2 })));
    await until('all have it', () => browsers.every(({ last }) => (last as { count?: number })?.count !== undefined));
    await until('one has two', () => browsers.some(({ last }) => (last as { count?: number })?.count === 2));
    for (const browser of browsers) browser.close();
    await until('all are gone', () => made.size === 0);
  });

  it('are kept alive by comments, which ask for the heartbeat’s own work first', async () => {
    const made = streams(20);
    const browser = await OpenedStream.open(await serving(made));
    await until('three heartbeats', () => browser.comments >= 3);
    expect(beats).to.be.at.least(3);
    expect(browser.events).to.deep.equal([]);
  });

  it('are gone when the browser is, and are told once', async () => {
    const made = streams(20);
    const browser = await OpenedStream.open(await serving(made));
    const stream = only(made);
    browser.close();
    await until('it is gone', () => made.size === 0);
    made.send(stream, 'unread', { count: 1 });
    made.end(stream);
    expect(closed).to.deep.equal([stream]);
    expect(cuts).to.deep.equal([]);
  });

  it('are ended whole, so that the connection can be used again', async () => {
    const made = streams();
    const browser = await OpenedStream.open(await serving(made));
    made.end(only(made));
    await browser.ended();
    expect(browser.wasCut).to.equal(false);
    expect(made.size).to.equal(0);
  });

  it('keep express-session from storing the session once more at their end', async () => {
    const made = streams();
    const atEnd: unknown[] = [];
    const site = await serve((req, res) => {
      const { end } = res;
      Object.assign(req, { session: { name: 'a session' } });
      res.end = function (this: ServerResponse, ...args: never[]) {
        atEnd.push((req as { session?: unknown }).session);
        return Reflect.apply(end, this, args);
      } as typeof end;
      made.open(new EventStream(res));
      res.once('close', () => atEnd.push((req as { session?: unknown }).session));
    });
    const browser = await OpenedStream.open(site.url);
    made.end(only(made));
    await browser.ended();
    await until('it is closed', () => atEnd.length === 2);
    expect(atEnd).to.deep.equal([undefined, { name: 'a session' }]);
  });

  it('end a browser that does not read when too much is waiting for it', async () => {
    const made = streams();
    const { port } = new URL(await serving(made));
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    opened.push(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('it is open', () => made.size === 1);
    socket.pause();
    const stream = only(made);
    const text = 'x'.repeat(1_000_000);
    await until('it was cut', () => {
      made.send(stream, 'unread', text);
      return cuts.length > 0;
    });
    expect(cuts).to.deep.equal(['slow']);
    expect(closed).to.deep.equal([stream]);
    expect(stream.res.destroyed).to.equal(true);
  });

  it('end a browser that has read nothing since the last heartbeat', async () => {
    const made = streams(50);
    const { port } = new URL(await serving(made));
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    opened.push(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('it is open', () => made.size === 1);
    socket.pause();
    made.send(only(made), 'unread', 'x'.repeat(20_000_000));
    await until('it was cut', () => cuts.length > 0);
    expect(cuts).to.deep.equal(['slow']);
  });

  it('do not end a browser that reads, over TLS, where a heartbeat follows on something written', async () => {
    const certificate = makeCertificate();
    opened.push(() => certificate.remove());
    const { tls } = certificate;
    const made = streams(50);
    const block = () => {
      const untilMs = performance.now() + 60;
      while (performance.now() < untilMs);
    };
    // A stream that opens just before a heartbeat is ended by it as little.
    const open = (res: ServerResponse) =>
      setImmediate(() => {
        made.open(new EventStream(res));
        if (made.size > 1) block();
      });
    const server = createHttpsServer(tls, (_req, res) => void open(res)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const request = get({ host: '127.0.0.1', port, ca: certificate.ca, agent: false });
    opened.push(() => request.destroy());
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let comments = 0;
    response.setEncoding('utf8').on('data', (text: string) => (comments += text.split(':\n\n').length - 1));
    const { res } = only(made);
    for (let i = 0; i < 5; i++) {
      made.send(only(made), 'unread', { count: i });
      await new Promise<void>((resolve) => setImmediate(resolve));
      const written = res.writableLength;
      expect(written, 'TLS holds it for now').to.be.above(0);
      const before = beats;
      block();
      await until('a heartbeat came', () => beats > before);
      expect(cuts).to.deep.equal([]);
    }
    await until('it has them', () => comments >= 3);
    const another = get({ host: '127.0.0.1', port, ca: certificate.ca, agent: false });
    opened.push(() => another.destroy());
    await once(another, 'response');
    const before = beats;
    await until('a heartbeat came', () => beats > before);
    expect(cuts).to.deep.equal([]);
    expect(made.size).to.equal(2);
  });

  it('flush a middleware that compresses although it is told not to', async () => {
    const made = streams();
    let flushes = 0;
    const site = await serve((_req, res) => {
      Object.assign(res, { flush: () => void (flushes += 1) });
      made.open(new EventStream(res));
    });
    const browser = await OpenedStream.open(site.url);
    made.send(only(made), 'unread', { count: 1 });
    await browser.says(1);
    expect(flushes).to.equal(2);
  });

  it('outlive the server’s time limit for idle connections', async () => {
    const made = streams();
    const site = await serve((_req, res) => void made.open(new EventStream(res)));
    site.server.timeout = 40;
    const browser = await OpenedStream.open(site.url);
    const other = await OpenedStream.open(site.url);
    // a second connection without a stream is ended by that limit, after which the first one would have been, too
    const idle = connect({ host: '127.0.0.1', port: Number(new URL(site.url).port) });
    await once(idle, 'close');
    for (const stream of made) made.send(stream, 'unread', { count: 3 });
    await browser.says(3);
    await other.says(3);
  });

  it('do nothing for a response that is gone before they open', async () => {
    const made = streams();
    let isOpen: boolean | undefined;
    const site = await serve((_req, res) => {
      res.once('close', () => (isOpen = made.open(new EventStream(res))));
      res.destroy();
    });
    await OpenedStream.open(site.url).catch(() => {});
    await until('it was tried', () => isOpen !== undefined);
    expect(isOpen).to.equal(false);
    expect(made.size).to.equal(0);
  });

  it('work over HTTP/2', async () => {
    const made = streams(20);
    const server = createHttp2Server((_req, res) => void made.open(new EventStream(res as never))).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    opened.push(() => server.close());
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    opened.push(() => session.destroy());
    const request = session.request({ ':path': '/' });
    const [headers] = await once(request, 'response');
    expect(headers).to.include({ ':status': 200, 'content-type': 'text/event-stream; charset=utf-8' });
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    made.send(only(made), 'unread', { count: 4 });
    await until('the event came', () => text.includes('event: unread\ndata: {"count":4}\n\n'));
    await until('heartbeats came', () => text.includes(':\n\n'));
    made.end(only(made));
    await once(request, 'end');
    expect(made.size).to.equal(0);
  });

  it('work over HTTP/2 when the browser goes', async () => {
    const made = streams(20);
    const server = createHttp2Server((_req, res) => void made.open(new EventStream(res as never))).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    opened.push(() => server.close());
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    opened.push(() => session.destroy());
    const request = session.request({ ':path': '/' }).resume();
    await once(request, 'response');
    request.close();
    await until('it is gone', () => made.size === 0);
    expect(closed).to.have.length(1);
  });

  it('do nothing over HTTP/2 for a response that is gone before they open', async () => {
    const made = streams();
    let isOpen: boolean | undefined;
    const server = createHttp2Server((_req, res) => {
      res.once('close', () => (isOpen = made.open(new EventStream(res as never))));
      res.stream.close();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(() => server.close());
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    opened.push(() => session.destroy());
    session
      .request({ ':path': '/' })
      .resume()
      .on('error', () => {});
    await until('it was tried', () => isOpen !== undefined);
    expect(isOpen).to.equal(false);
    expect(made.size).to.equal(0);
  });
});
