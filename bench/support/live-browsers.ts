/**
 * The browsers of bench:notifications' live sections, in a process of their own: fork(file, [port]). Each has a session, and an open stream
 * that is read as it comes, with nothing but a socket.
 */
import { type Socket, connect } from 'node:net';

export type BrowserTask =
  | { readonly open: number }
  /** Notes when each browser is said this count; answered when all have it. */
  | { readonly expect: number }
  | { readonly close: true };

const port = Number(process.argv[2]);
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0';
/** So many visits at once. */
const AT_ONCE = 50;
const nowMs = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;

class Browser {
  count = -1;
  socket: Socket | undefined;

  static async visit(): Promise<Browser> {
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'user-agent': AGENT } });
    await response.text();
    const cookie = response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
    const browser = new Browser();
    await browser.#open(cookie);
    return browser;
  }

  #open(cookie: string): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket = socket;
    socket.write(
      `GET /notifications/live HTTP/1.1\r\nHost: localhost\r\nUser-Agent: ${AGENT}\r\nCookie: ${cookie}\r\nAccept: text/event-stream\r\n\r\n`,
    );
    return new Promise((resolve, reject) => {
      socket.on('data', (data: Buffer) => {
        const text = data.toString('latin1');
        if (text.startsWith('HTTP/1.1 ') && !text.startsWith('HTTP/1.1 200')) reject(new Error(text.slice(0, 40)));
        for (const [, count] of text.matchAll(/"count":(\d+)/g)) {
          this.count = Number(count);
          said(this.count);
        }
        if (this.count >= 0) resolve();
      });
      socket.on('error', reject);
    });
  }
}

const browsers: Browser[] = [];
let expected: { readonly count: number; readonly times: number[] } | undefined;

function said(count: number): void {
  if (!expected || count !== expected.count) return;
  expected.times.push(nowMs());
  if (expected.times.length < browsers.length) return;
  process.send?.({ times: expected.times });
  expected = undefined;
}

process.on('message', (task: BrowserTask) => void run(task));

async function run(task: BrowserTask): Promise<void> {
  if ('open' in task) {
    let left = task.open;
    const opening = async () => {
      while (left-- > 0) browsers.push(await Browser.visit());
    };
    await Promise.all(Array.from({ length: AT_ONCE }, opening));
    process.send?.({ opened: browsers.length });
  } else if ('expect' in task) {
    expected = { count: task.expect, times: [] };
    process.send?.({ ready: true });
  } else {
    for (const { socket } of browsers.splice(0)) socket?.destroy();
    process.send?.({ closed: true });
  }
}
process.send?.({ started: true });
