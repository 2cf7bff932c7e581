import type { IncomingMessage, ServerResponse } from 'node:http';

/** The most bytes of a body, which is one URL: all browsers and servers take URLs of some 2,000 characters. */
const MAX_BYTES = 2_048;
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * A handler for `navigator.sendBeacon('/seen', location.href)`: counts the page that the body names (a path, a URL of this
 * origin, or a name), or of an empty body the Referer. Only a POST of the same origin with at most 2,048 bytes counts. The
 * answer is 204, whatever came. It needs no body parser; of one that ran before, it takes the text.
 */
export function beacon(count: (req: IncomingMessage, page: string) => void, fault: (error: Error) => void) {
  return (req: IncomingMessage, res: ServerResponse): void => {
    const answer = (text: string | undefined) => {
      try {
        const page = text === undefined ? undefined : pageOf(req, text.trim());
        if (page !== undefined) count(req, page);
      } catch (error) {
        fault(error as Error);
      }
      // A body that is too long, or does not count, is not read to its end, so the connection can't be used again.
      res.writeHead(204, text === undefined ? { connection: 'close' } : {}).end();
    };
    if (req.method !== 'POST' || !isSameOrigin(req)) answer(undefined);
    else readText(req, answer);
  };
}

/** Gives the body's text, or undefined where it has more than MAX_BYTES. */
function readText(req: IncomingMessage & { body?: unknown }, done: (text: string | undefined) => void): void {
  if (typeof req.body === 'string') return done(Buffer.byteLength(req.body) > MAX_BYTES ? undefined : req.body);
  // A parser has read the body as something else than text: the Referer counts.
  if (req.readableEnded || req.destroyed) return done('');
  const chunks: Buffer[] = [];
  let bytes = 0;
  const settle = (text: string | undefined) => {
    req.off('data', take).off('end', end).off('close', gone).pause();
    done(text);
  };
  const take = (chunk: Buffer) => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > MAX_BYTES) settle(undefined);
  };
  const end = () => settle(Buffer.concat(chunks).toString());
  const gone = () => settle(undefined);
  req.on('data', take).on('end', end).on('close', gone);
}

const hostOf = (url: string | undefined): string | undefined =>
  url !== undefined && URL.canParse(url) ? new URL(url).host : undefined;

/**
 * By Sec-Fetch-Site, or of older browsers by Origin. A client that sends neither is no browser: no other site can have made it
 * ask.
 */
function isSameOrigin({ headers }: IncomingMessage): boolean {
  const { 'sec-fetch-site': site, origin, host } = headers;
  if (site !== undefined) return site === 'same-origin';
  return origin === undefined || hostOf(origin) === host;
}

/** The page that is named; undefined where it has another origin, or is no page's name. */
function pageOf({ headers }: IncomingMessage, text: string): string | undefined {
  const { origin, referer, host, 'sec-fetch-site': site } = headers;
  const page = text || referer;
  if (page === undefined || page === '' || page.length > MAX_BYTES || CONTROL.test(page)) return undefined;
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(page)) return page;
  const pageHost = hostOf(page);
  // Behind a proxy that changes Host, the browser's own headers say where the page is.
  const ownHosts = [host, ...(site === 'same-origin' ? [hostOf(origin), hostOf(referer)] : [])];
  return pageHost !== undefined && ownHosts.includes(pageHost) ? page : undefined;
}
