import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import session, { type SessionOptions } from 'express-session';
import { applicationFault } from '../lib/errors/errors.js';
import type { Consents } from './consent.js';
import { guardSerialization } from './guard-serialization.js';
import { orderError } from './middleware-order.js';
import { type IntelligentRequest, type RequestContext, RequestIntelligence } from './request-intelligence.js';
import type { Responses } from './responses.js';
import type { rotatingIds } from './rotating-ids.js';
import { warnOfUntrustedProxy } from './untrusted-proxy.js';
import { type Bots, policyOf, type VisitorPolicy } from './visitor-policy.js';

export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Makes the middleware itself, which gives each request its `req.intelligence`, by the visitor's policy, and then its session,
 * by express-session.
 */
export function requestHandler(
  sessionOptions: SessionOptions,
  bots: Bots,
  consents: Consents,
  context: RequestContext,
  renewId: ReturnType<typeof rotatingIds>,
  responses: Responses,
): Middleware {
  // Whether a session that holds nothing is stored depends on the visitor. express-session has one option for all of them, so
  // there are two middlewares of express-session on the same store.
  const storesEmpty = session(sessionOptions);
  const storesNoEmpty = session({ ...sessionOptions, saveUninitialized: false });
  const warnOfProxy = warnOfUntrustedProxy(sessionOptions.proxy);
  const fault = (error: Error) => void context.serving.emit('fault', error);
  return (request, res, next) => {
    const req = request as IntelligentRequest;
    // This same middleware has handled the request already.
    if (req.intelligence?.context === context) return next();
    if (req.session) {
      // Without an error, another intelligentSession() with a narrower path serves the request.
      const error = orderError(req, sessionOptions.cookie, context.serving.namespace);
      if (error || req.intelligence) return next(error);
    }
    let policy: VisitorPolicy;
    try {
      policy = policyOf(bots, consents, sessionOptions.saveUninitialized !== false, req);
    } catch (error) {
      return next(error); // The functions of the options `bots` and `consent` may throw.
    }
    const intelligence = new RequestIntelligence(req, context, policy);
    req.intelligence = intelligence;
    responses.add(res, () => intelligence.end(res));
    const sessions = policy.stored ? storesEmpty : storesNoEmpty;
    const begin = (error?: unknown) => {
      try {
        if (!error) context.subjects?.begin(req);
      } catch (thrown) {
        return next(applicationFault(thrown)); // The function of the option `user` may throw.
      }
      next(error);
    };
    const waitForItemKey = (error?: unknown) => {
      let settled: Promise<void> | undefined;
      try {
        settled = error || !req.session ? undefined : context.subjects?.settled(req.session);
      } catch {
        // The function of the option `user` has thrown: begin() calls it again, and passes the error on.
      }
      if (settled) void settled.then(() => begin());
      else begin(error);
    };
    // When the session is there, renewId()'s `next` calls warnOfProxy()'s, and that guardSerialization()'s.
    const guarded = guardSerialization(req, res, waitForItemKey, fault);
    sessions(req as Request, res as Response, renewId(req, warnOfProxy(req, guarded)));
  };
}
