import type { IncomingMessage } from 'node:http';
import type { ExpressRequest } from './express-request.js';
import { synchronous } from './synchronous.js';

/**
 * Which requests count as page views without a call of pageview(). `true`: a browser's GET requests for pages. `'route'`: the
 * same, with the pattern of the route (`/news/:id`) as the page's name. A function of the request returns true, or the page's
 * name.
 */
export type Track = boolean | 'route' | ((req: ExpressRequest) => boolean | string | null | undefined);

/** A request, with the properties that Express adds. */
type RoutedRequest = IncomingMessage & { originalUrl?: string; baseUrl?: string; route?: { path?: unknown } };

/** The end of a path that names a file, but no HTML page. */
const ASSET = /\.(?!html?$)[a-z0-9]{1,8}$/i;
/** The headers by which browsers and libraries say that nobody looks at the page yet. */
const PURPOSES = ['sec-purpose', 'purpose', 'x-sec-purpose', 'x-purpose', 'x-moz'];

/** The option `track`; a function of it that gives a promise counts no page by itself, which is told once. */
export const checkedTrack = (track: Track, fault: (error: Error) => void): Track =>
  typeof track === 'function' ? synchronous('track', track, [false, 'no page counts by itself'], fault) : track;

/** The path and query that the browser asked for. */
function targetOf(req: RoutedRequest): string {
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

/**
 * Is this request a GET of a page? The browser's Sec-Fetch headers (https://www.w3.org/TR/fetch-metadata/) count for more than
 * the path's extension.
 */
function isPage(req: RoutedRequest): boolean {
  if (req.method !== 'GET' || isFragment(req)) return false;
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, accept = '' } = req.headers;
  if (destination === 'document' || destination === 'iframe') return true;
  // The destination is `empty` where a service worker has passed the navigation on.
  if (mode === 'navigate') return destination === undefined || destination === 'empty';
  if (destination !== undefined && destination !== 'empty') return false;
  // Some libraries fetch whole pages: htmx says so in a header; Turbo, Turbolinks, Swup and Inertia accept XHTML, as browsers
  // do.
  if (req.headers['hx-boosted'] === 'true' || accept.includes('application/xhtml+xml')) return true;
  if (destination === 'empty') return false;
  return !ASSET.test(targetOf(req).split(/[?#]/, 1)[0] as string);
}

/** The pattern of the request's route; undefined where the route has an array of patterns or a regular expression. */
function routeOf({ baseUrl = '', route }: RoutedRequest): string | undefined {
  return typeof route?.path === 'string' ? baseUrl + route.path : undefined;
}

/** The name of the page that pageview() counts for a request: there is always one. */
export function askedPage(track: Track, req: RoutedRequest): string {
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : track === 'route' && routeOf(req);
  return (typeof answer === 'string' && answer) || targetOf(req);
}

/**
 * The name of the page that a request counts for without a call of pageview(), or undefined. With `'route'` it may be known
 * only when the response has `ended`.
 */
export function automaticPage(track: Track, req: RoutedRequest, ended: boolean): string | undefined {
  if (track === false || req.method === 'HEAD' || isPrefetch(req)) return undefined;
  if (track === 'route') return isPage(req) ? (routeOf(req) ?? (ended ? targetOf(req) : undefined)) : undefined;
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : isPage(req);
  if (typeof answer === 'string' && answer !== '') return answer;
  return answer ? targetOf(req) : undefined;
}
