import type { IncomingMessage } from 'node:http';
import type { ExpressRequest } from './express-request.js';

/**
 * What counts as a page view by itself. `true`: the GET pages of a browser. `'route'`: the same, under the pattern of their route
 * (`/news/:id`). A function of the request: what gives true, or the page's name.
 */
export type Track = boolean | 'route' | ((req: ExpressRequest) => boolean | string | null | undefined);

/** A request, with what Express adds. */
type Tracked = IncomingMessage & { originalUrl?: string; baseUrl?: string; route?: { path?: unknown } };

const ASSET = /\.(?!html?$)[a-z0-9]{1,8}$/i;
/** The headers by which browsers and libraries say that nobody looks at the page yet. */
const PURPOSES = ['sec-purpose', 'purpose', 'x-sec-purpose', 'x-purpose', 'x-moz'];

/** The path and query that the browser asked for. */
function targetOf(req: Tracked): string {
  return (req.originalUrl ?? req.url) || '/';
}

/** Does this request fetch a page before somebody looks at it, if ever? */
function isPrefetch({ headers }: IncomingMessage): boolean {
  return (
    PURPOSES.some((name) => headers[name] !== undefined && /prefetch|prerender|preview/i.test(String(headers[name]))) ||
    headers['hx-preloaded'] === 'true' ||
    headers['next-router-prefetch'] !== undefined
  );
}

/** Does this request fetch a part of a page, for Turbo, htmx or Inertia? */
function isFragment({ headers }: IncomingMessage): boolean {
  return (
    headers['turbo-frame'] !== undefined ||
    (headers['hx-request'] === 'true' && headers['hx-boosted'] !== 'true') ||
    headers['x-inertia-partial-component'] !== undefined
  );
}

/** Is it a GET of a page? What the browser says (https://www.w3.org/TR/fetch-metadata/) counts for more than the path's extension. */
function isPage(req: Tracked): boolean {
  if (req.method !== 'GET' || isFragment(req)) return false;
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, accept = '' } = req.headers;
  if (destination === 'document' || destination === 'iframe') return true;
  // It is `empty` where a service worker has passed the navigation on.
  if (mode === 'navigate') return destination === undefined || destination === 'empty';
  if (destination !== undefined && destination !== 'empty') return false;
  // Libraries fetch visits, too: htmx says so, and Turbo, Turbolinks, Swup and Inertia ask for XHTML, as browsers do.
  if (req.headers['hx-boosted'] === 'true' || accept.includes('application/xhtml+xml')) return true;
  if (destination === 'empty') return false;
  return !ASSET.test(targetOf(req).split(/[?#]/, 1)[0] as string);
}

/** The pattern of the route that a request went through; an array of patterns or a regular expression gives none. */
function routeOf({ baseUrl = '', route }: Tracked): string | undefined {
  return typeof route?.path === 'string' ? baseUrl + route.path : undefined;
}

/** The page that pageview() counts for a request: there is always one. */
export function askedPage(track: Track, req: Tracked): string {
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : track === 'route' && routeOf(req);
  return (typeof answer === 'string' && answer) || targetOf(req);
}

/** The page that counts by itself for a request, or undefined. With `'route'` it may be known at the end of the request only. */
export function automaticPage(track: Track, req: Tracked, ended: boolean): string | undefined {
  if (track === false || req.method === 'HEAD' || isPrefetch(req)) return undefined;
  if (track === 'route') return isPage(req) ? (routeOf(req) ?? (ended ? targetOf(req) : undefined)) : undefined;
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : isPage(req);
  if (typeof answer === 'string' && answer !== '') return answer;
  return answer ? targetOf(req) : undefined;
}
