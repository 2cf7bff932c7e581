import type { CookieOptions, SessionOptions } from 'express-session';
import { OptionError } from '../lib/errors/errors.js';
import type { IntelligentRequest } from './request-intelligence.js';

/**
 * The error for a request whose session another middleware has made before this one: this one's options would have no effect.
 * Undefined where the other one's cookie has a narrower path: then each has sessions of its own.
 */
export function orderError(
  req: IntelligentRequest,
  cookie: SessionOptions['cookie'],
  namespace: string,
): OptionError | undefined {
  const { path: ownPath = '/' } = ((typeof cookie === 'function' ? cookie(req as never) : cookie) ??
    {}) as CookieOptions;
  const { path: otherPath = '/' } = (req.session.cookie ?? {}) as CookieOptions;
  if (otherPath !== ownPath && otherPath.startsWith(ownPath)) return undefined;
  return new OptionError(messageOf(req, namespace), 'ERR_INTELLIGENT_SESSION_ORDER');
}

function messageOf(req: IntelligentRequest, namespace: string): string {
  if (req.intelligence)
    return (
      `Another intelligentSession() (namespace "${req.intelligence.context.serving.namespace}") came before this one ` +
      `(namespace "${namespace}") and made the session: use one for all, or give the first a cookie with a longer path`
    );
  const { sessionStore } = req as { sessionStore?: object };
  const first = sessionStore
    ? `session() of express-session, with ${sessionStore.constructor.name},`
    : 'another middleware (cookie-session?)';
  return (
    `req.session is there already: ${first} came before intelligentSession(), which makes the sessions itself. Remove that ` +
    'app.use(); its options go into intelligentSession({ secret, session: { … } })'
  );
}
