import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { IntelligentRequest } from './request-intelligence.js';

type Next = (error?: unknown) => void;

/**
 * Warns once where a secure cookie can't be set, since the browser's TLS ends at a proxy that the application does not
 * trust: each page then makes a new session. Gives what to call in `next`'s place.
 */
export function warnOfUntrustedProxy(proxyOption: boolean | undefined): (req: IntelligentRequest, next: Next) => Next {
  let warned = proxyOption !== undefined;
  return (req, next) => {
    if (warned || !isUntrusted(req)) return next;
    return (error) => {
      if (req.session?.cookie.secure === true && !warned) {
        warned = true;
        process.emitWarning(
          'a secure cookie is not set: the proxy says https, and the application does not trust it. ' +
            "app.set('trust proxy', 1), or option session: { proxy: true }",
          { code: 'ERR_INTELLIGENT_SESSION_PROXY' },
        );
      }
      next(error);
    };
  };
}

const isUntrusted = (req: IncomingMessage): boolean =>
  req.headers['x-forwarded-proto'] !== undefined &&
  /^https/i.test(String(req.headers['x-forwarded-proto'])) &&
  (req as { secure?: boolean }).secure !== true &&
  !(req.socket as TLSSocket | null)?.encrypted;
