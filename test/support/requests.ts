import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { BROWSER, type Site } from './site.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** A visitor whose requests have the target and the headers as they are given: fetch() would change them. */
export class RawVisitor {
  cookie = '';
  constructor(readonly site: Pick<Site, 'url'>) {}

  async send(target: string, { method = 'GET', headers = {}, body }: Sent = {}): Promise<Answer> {
    const sent = request(this.site.url, {
      path: target,
      method,
      agent: false,
      headers: { 'user-agent': BROWSER, ...(this.cookie && { cookie: this.cookie }), ...headers },
    });
    sent.end(body);
    const [response] = await once(sent, 'response');
    const set: string | undefined = response.headers['set-cookie']?.[0];
    if (set) this.cookie = set.split(';', 1)[0] as string;
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  }

  async json(target: string, sent?: Sent): Promise<any> {
    return JSON.parse((await this.send(target, sent)).body);
  }
}
