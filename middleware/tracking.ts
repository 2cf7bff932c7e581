import type { Request } from 'express';

/** What to count as a page view: true or false, or the page's name. */
export type Track = boolean | ((req: Request) => boolean | string);

const ASSET = /\.(?!html?$)[a-z0-9]{1,8}$/i;

/** The path that the browser asked for, without its query. */
export function pathOf(req: Request): string {
  return req.originalUrl.split(/[?#]/, 1)[0] || '/';
}

/** GET pages: no assets, no prefetch, nothing that a script or an image tag asked for. */
function isPage(req: Request): boolean {
  if (req.method !== 'GET' || ASSET.test(pathOf(req))) return false;
  if (/prefetch/i.test(`${req.get('sec-purpose') ?? ''}${req.get('purpose') ?? ''}`)) return false;
  const destination = req.get('sec-fetch-dest');
  return destination === undefined || destination === 'document' || destination === 'iframe';
}

/** The page to count for a request, or undefined. */
export function trackedPage(track: Track, req: Request): string | undefined {
  const answer = typeof track === 'function' ? track(req) : track && isPage(req);
  return typeof answer === 'string' ? answer : answer ? pathOf(req) : undefined;
}
