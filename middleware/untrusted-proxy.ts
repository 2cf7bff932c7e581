import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { warn } from '../lib/errors/warnings.js';
import type { IntelligentRequest } from './request-intelligence.js';

type Next = (error?: unknown) => void;

const ADVICE = "app.set('trust proxy', 1), or option session: { proxy: true }";

/**
 * Warns once where the session's cookie is secure and express-session does not set it, since to it the request came over http:
 * each page then makes a new session. Returns a function that makes, from a request and its `next`, the `next` for
 * express-session.
 */
export function warnOfUntrustedProxy(proxyOption: boolean | undefined): (req: IntelligentRequest, next: Next) => Next {
  let warned = false;
  return (req, next) => {
    if (warned) return next;
    return (error) => {
      // Bots do not count: a health check that does not come through the proxy comes over http.
      if (
        !warned &&
        req.session?.cookie.secure === true &&
        req.intelligence.policy.why !== 'bot' &&
        !isSecure(req, proxyOption)
      ) {
        warned = true;
        warn('INTELLIGENT_SESSION_SECURE_COOKIE', `The session's cookie is secure and was not set: ${reasonOf(req)}`);
      }
      next(error);
    };
  };
}

function reasonOf(req: IncomingMessage): string {
  if (protoOf(req) === 'https') return `the proxy says https, and the application does not trust it. ${ADVICE}`;
  return (
    'the request came over http. Behind a proxy that ends TLS, the proxy has to send X-Forwarded-Proto, and the application to ' +
    `trust it: ${ADVICE}. Without TLS: session: { cookie: { secure: 'auto' } }`
  );
}

/** Did the request come over https? Decides as express-session does. */
function isSecure(req: IncomingMessage, proxyOption: boolean | undefined): boolean {
  if ((req.socket as TLSSocket | null)?.encrypted) return true;
  if (proxyOption === true) return protoOf(req) === 'https';
  return proxyOption === undefined && (req as { secure?: boolean }).secure === true;
}

/** The browser's protocol, as a proxy says. */
const protoOf = ({ headers }: IncomingMessage): string | undefined =>
  String(headers['x-forwarded-proto'] ?? '')
    .split(',', 1)[0]
    ?.trim()
    .toLowerCase();
