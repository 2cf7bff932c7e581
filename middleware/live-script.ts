import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkText, optionsOf } from '../lib/options/check-arguments.js';
import { loadBrowserScript } from './load-browser-script.js';

export interface LiveScriptOptions {
  /** Where `sessions.live()` is served, for pages that have no `data-notifications-live`. @default '/notifications/live' */
  readonly url?: string | undefined;
}

/** How long the script is used without asking. It changes with the package or the option `url`, and its ETag makes asking again cheap. */
const MAX_AGE_SECONDS = 3_600;

/**
 * A handler for GET: the browser's side of `sessions.live()`, a script of less than 2 kB without dependencies. It needs no
 * session, and may stand before intelligentSession(). Behind it only the browser itself may keep the answer, which may set a
 * cookie.
 */
export function liveScript(given?: LiveScriptOptions): (req: IncomingMessage, res: ServerResponse) => void {
  const { url = '/notifications/live' } = optionsOf<LiveScriptOptions>('liveScript', given);
  checkText('liveScript', url, '"url" to be a path or URL, a text');
  const text = loadBrowserScript('middleware/browser/live.js').replace("'%URL%'", () => JSON.stringify(url));
  const body = Buffer.from(text);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return (req, res) => {
    const hasSession = (req as { session?: unknown }).session !== undefined;
    res.setHeader('Cache-Control', `${hasSession ? 'private' : 'public'}, max-age=${MAX_AGE_SECONDS}`);
    res.setHeader('ETag', etag);
    if (namesTag(req.headers['if-none-match'], etag)) {
      res.statusCode = 304;
      res.end();
      return;
    }
    res.setHeader('Content-Type', 'text/javascript; charset=utf-8');
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Content-Length', body.length);
    res.end(req.method === 'HEAD' ? undefined : body);
  };
}

/** Does If-None-Match name this ETag? A proxy that compresses may make it a weak one, `W/…` (RFC 9110, section 13.1.2). */
const namesTag = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')));
