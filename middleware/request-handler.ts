import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import session, { type SessionOptions } from 'express-session';
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
 * The middleware itself: gives each request its `req.intelligence`, by what the visitor's policy allows, and then its session, by
 * express-session.
 */
export function requestHandler(
  sessionOptions: SessionOptions,
  bots: Bots,
  consents: Consents,
  context: RequestContext,
  rotated: ReturnType<typeof rotatingIds>,
  responses: Responses,
): Middleware {
  // Whether a session that holds nothing is stored depends on the visitor. express-session has one option for all of them, so there are two
  // middlewares of express-session on the same store.
  const storesEmpty = session(sessionOptions);
  const storesNoEmpty = session({ ...sessionOptions, saveUninitialized: false });
  const warnOfProxy = warnOfUntrustedProxy(sessionOptions.proxy);
  const fault = (error: Error) => void context.serving.emit('fault', error);
  return (request, res, next) => {
    const req = request as IntelligentRequest;
    // The same middleware came before.
    if (req.intelligence?.context === context) return next();
    if (req.session) {
      const error = orderError(req, sessionOptions.cookie, context.serving.namespace);
      if (error || req.intelligence) return next(error);
    }
    let policy: VisitorPolicy;
    try {
      policy = policyOf(bots, consents, sessionOptions.saveUninitialized !== false, req);
    } catch (error) {
      return next(error); // The options `bots` and `consent` are functions of the application's.
    }
    const intelligence = new RequestIntelligence(req, context, policy);
    req.intelligence = intelligence;
    responses.add(res, () => intelligence.end(res));
    const sessions = policy.stored ? storesEmpty : storesNoEmpty;
    const begin = (error?: unknown) => {
      try {
        if (!error) context.subjects?.begin(req);
      } catch (thrown) {
        return next(thrown); // The option `user` is a function of the application's.
      }
      next(error);
    };
    const settle = (error?: unknown) => {
      let settled: Promise<void> | undefined;
      try {
        settled = error || !req.session ? undefined : context.subjects?.settled(req.session);
      } catch {
        // The option `user` is a function of the application's: begin() tells it.
      }
      if (settled) void settled.then(() => begin());
      else begin(error);
    };
    const guarded = warnOfProxy(req, guardSerialization(req, res, settle, fault));
    sessions(req as Request, res as Response, rotated(req, guarded));
  };
}
