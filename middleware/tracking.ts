import type { IncomingMessage } from 'node:http';
import type { ExpressRequest } from './express-request.js';
import { synchronous } from './synchronous.js';

/**
 * Which requests count as page views without a call of pageview(). `true`: GET requests for pages (isPage()). `'route'`: the same,
 * with the pattern of the route (`/news/:id`) as the page's name. A function of the request returns true or the page's name;
 * anything else does not count.
 */
export type Track = boolean | 'route' | ((req: ExpressRequest) => boolean | string | null | undefined);

/** A request, with properties that Express adds and plain node:http does not have. */
type RoutedRequest = IncomingMessage & { originalUrl?: string; baseUrl?: string; route?: { path?: unknown } };

/** Matches the end of a path with a file's extension other than .htm and .html. */
const ASSET = /\.(?!html?$)[a-z0-9]{1,8}$/i;
/** The headers by whose value browsers and libraries say that nobody looks at the page yet. */
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

/** Does this request fetch a part of a page, for Turbo, htmx or Inertia? What htmx boosts is a whole page. */
function isFragment({ headers }: IncomingMessage): boolean {
  return (
    headers['turbo-frame'] !== undefined ||
    (headers['hx-request'] === 'true' && headers['hx-boosted'] !== 'true') ||
    headers['x-inertia-partial-component'] !== undefined
  );
}

/**
 * Is this request a GET of a page? Where the browser sends Sec-Fetch headers (https://www.w3.org/TR/fetch-metadata/), they decide;
 * where there are none, the path's extension does, so any program's GET of a path without one is a page.
 */
function isPage(req: RoutedRequest): boolean {
  if (req.method !== 'GET' || isFragment(req)) return false;
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, accept = '' } = req.headers;
  if (destination === 'document' || destination === 'iframe') return true;
  // The destination is `empty` where a service worker has passed the navigation on.
  if (mode === 'navigate') return destination === undefined || destination === 'empty';
  if (destination !== undefined && destination !== 'empty') return false;
  // Some libraries fetch whole pages by a script: htmx says so in a header; Turbo, Turbolinks, Swup and Inertia accept XHTML, as
  // browsers do that send no Sec-Fetch headers.
  if (req.headers['hx-boosted'] === 'true' || accept.includes('application/xhtml+xml')) return true;
  if (destination === 'empty') return false;
  return !ASSET.test(targetOf(req).split(/[?#]/, 1)[0] as string);
}

/**
 * The pattern of the route that was matched last, after the path at which its router is mounted; undefined where there is none, and
 * where the route has an array of patterns or a regular expression.
 */
function routeOf({ baseUrl = '', route }: RoutedRequest): string | undefined {
  return typeof route?.path === 'string' ? baseUrl + route.path : undefined;
}

/** The page that a call of pageview() counts for a request: there is always one. */
export function askedPage(track: Track, req: RoutedRequest): string {
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : track === 'route' && routeOf(req);
  return (typeof answer === 'string' && answer) || targetOf(req);
}

/**
 * The page that counts for a request without a call of pageview(), or undefined. With `'route'` it is the route that is known
 * by now; a page without one counts under its path when the response has `ended`.
 */
export function automaticPage(track: Track, req: RoutedRequest, ended: boolean): string | undefined {
  if (track === false || req.method === 'HEAD' || isPrefetch(req)) return undefined;
  if (track === 'route') return isPage(req) ? (routeOf(req) ?? (ended ? targetOf(req) : undefined)) : undefined;
  const answer = typeof track === 'function' ? track(req as ExpressRequest) : isPage(req);
  if (typeof answer === 'string' && answer !== '') return answer;
  return answer ? targetOf(req) : undefined;
}
