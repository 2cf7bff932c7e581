import type { ErrorRequestHandler, RequestHandler } from 'express';

/** The names by which a browser on this machine reaches a server there. */
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** A header Host: a name or an address, perhaps a port. */
const HOST = /^(\[[\da-f:.]+\]|[^:/?#@\\]+)(?::\d{1,5})?$/i;

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  // not no-referrer: with that, browsers send "Origin: null" with our own forms
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export const secureHeaders: RequestHandler = (_req, res, next) => {
  res.set(HEADERS);
  next();
};

/**
 * Refuses a request for another host's name (403): a page elsewhere whose name was pointed at this machine (DNS rebinding) could
 * otherwise read the shop. Refuses unsafe methods, too, unless a page of this very origin sent the request: any page can send a
 * form here.
 */
export function sameOriginOnly(hosts: Iterable<string> = []): RequestHandler {
  const names = new Set([...LOOPBACK, ...hosts]);
  return (req, res, next) => {
    // a browser that sends no Sec-Fetch-Site is judged by Origin alone
    const { host = '', origin, 'sec-fetch-site': site = 'same-origin' } = req.headers;
    const isOwnHost = names.has(HOST.exec(host)?.[1]?.toLowerCase() ?? '');
    const isFromOwnPage = site === 'same-origin' && hostOf(origin) === hostOf(`http://${host}`);
    if (isOwnHost && (SAFE_METHODS.has(req.method) || isFromOwnPage)) next();
    else
      res
        .status(403)
        .type('text')
        .send(isOwnHost ? 'Only the shop’s own pages may do that.\n' : 'This is not the shop of that name.\n');
  };
}

/** The host with the port, unless that is the scheme's own; NaN, which equals nothing, for what is no URL. */
const hostOf = (url = '') => (URL.canParse(url) ? new URL(url).host : Number.NaN);

/** The last handler: the browser is told whether the request or the shop is at fault, and only the console gets the error's text. */
export const withoutStack: ErrorRequestHandler = (error, _req, res, _next) => {
  const given = Number(error?.status);
  const status = given >= 400 && given < 500 ? given : 500;
  if (status === 500)
    process.stderr.write(`shop: ${error instanceof Error ? error.message : 'a fault that is no error'}\n`);
  if (res.headersSent) {
    res.destroy();
    return;
  }
  res
    .status(status)
    .type('text')
    .send(status === 500 ? 'Something went wrong here.\n' : 'The shop does not understand this request.\n');
};
