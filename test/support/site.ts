import { once } from 'node:events';
import { createServer, type Server, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express, RequestHandler } from 'express';

/** An Express app that listens on a free port. */
export class Site {
  private constructor(
    readonly server: Server,
    readonly url: string,
  ) {}

  static async open(app: Express | RequestHandler, options: ServerOptions = {}): Promise<Site> {
    const server = createServer(options, app as Express).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Site(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  async close(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** What a browser calls itself: Node's fetch would be taken for a bot. */
export const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0';

/** Somebody with a browser and a cookie jar. */
export class Visitor {
  cookie = '';
  constructor(readonly url: string) {}

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = {
      'user-agent': BROWSER,
      ...(init.headers as Record<string, string>),
      ...(this.cookie && { cookie: this.cookie }),
    };
    const response = await fetch(this.url + path, { redirect: 'manual', ...init, headers });
    for (const set of response.headers.getSetCookie()) this.#keep(set.split(';', 1)[0] as string);
    return response;
  }

  /** Keeps a cookie, in the place of an earlier one of its name. */
  #keep(cookie: string): void {
    const name = cookie.slice(0, cookie.indexOf('=') + 1);
    const others = this.cookie.split('; ').filter((one) => one !== '' && !one.startsWith(name));
    this.cookie = [...others, cookie].join('; ');
  }

  async json(path: string): Promise<any> {
    const response = await this.fetch(path);
    return response.json();
  }
}
