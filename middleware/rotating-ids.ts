import type { Request } from 'express';
import { applicationFault } from '../lib/errors/errors.js';
import type { RedisSessionStore } from '../lib/session/redis-session-store.js';
import type { IntelligentRequest } from './request-intelligence.js';

type Next = (error?: unknown) => void;

/**
 * Renews the id of a request's session where that is due, with option `rotateEvery`. Returns a function that makes, from a
 * request and its `next`, the `next` for express-session. A WebSocket's handshake sets no cookie, so it renews nothing.
 */
export function rotatingIds(
  store: RedisSessionStore | undefined,
  /** Is called when a session has a new id, with the one that it had before. */
  onRotated: (req: IntelligentRequest, oldId: string) => void,
): (req: IntelligentRequest, next: Next) => Next {
  if (!store) return (_req, next) => next;
  return (req, next) => (error) => {
    if (error || !req.session || req.headers.upgrade !== undefined) return next(error);
    const { sessionID: oldId } = req;
    store.rotate(req as unknown as Request, () => {
      try {
        if (req.sessionID !== oldId) onRotated(req, oldId);
      } catch (thrown) {
        return next(applicationFault(thrown)); // The function of the option `user` may throw.
      }
      next();
    });
  };
}
