import type { IncomingMessage } from 'node:http';
import { IntelligentSessionError, OptionError } from '../lib/errors/errors.js';
import { describeValue } from '../lib/options/check-options.js';
import type { ExpressRequest } from './express-request.js';

/** Does the visitor consent to being tracked? True or false decides; undefined leaves it to the browser's `Sec-GPC`. */
export type Consent = (req: ExpressRequest) => boolean | undefined;

/** Does this request's visitor consent? */
export type Consents = (req: IncomingMessage) => boolean;

const WANTED = 'it counts as no consent; wanted: true, false, or undefined for what Sec-GPC says';
const NO_SESSION =
  'option "consent" is called before the session is read, and req.session is not there yet: keep the answer in a cookie of its own';

/**
 * Decides whether a request's visitor consents. An answer of another type counts as no consent, and the first one is reported.
 */
export function consentOf(option: Consent | undefined, fault: (error: Error) => void): Consents {
  let isReported = false;
  return (req) => {
    const answer: unknown = option && callWithoutSession(req, option);
    if (answer === undefined) return !asksForPrivacy(req);
    if (typeof answer === 'boolean') return answer;
    // An async function gives a promise, which would end the process if it rejects.
    Promise.resolve(answer).catch(() => {});
    if (!isReported)
      fault(
        new IntelligentSessionError(
          'ERR_INTELLIGENT_SESSION_ARGUMENT',
          `option "consent" gave ${describeValue(answer)}: ${WANTED}`,
        ),
      );
    isReported = true;
    return false;
  };
}

/**
 * Does the browser send `Sec-GPC: 1`? Node.js joins several fields of this name; one of them is enough
 * (https://w3c.github.io/gpc/, section 3.3).
 */
function asksForPrivacy({ headers }: IncomingMessage): boolean {
  return String(headers['sec-gpc'] ?? '')
    .split(',')
    .some((value) => value.trim() === '1');
}

/**
 * Calls the option's function with a request whose `session` throws: otherwise `req.session?.consent` would be undefined
 * for all, and a no be missed.
 */
function callWithoutSession(req: IncomingMessage, option: Consent): unknown {
  // Another middleware has made a session.
  if ((req as Partial<ExpressRequest>).session) return option(req as ExpressRequest);
  const define = (property: PropertyDescriptor) =>
    Object.defineProperty(req, 'session', { ...property, configurable: true, enumerable: true });
  define({
    get() {
      throw new OptionError(NO_SESSION);
    },
  });
  try {
    return option(req as ExpressRequest);
  } finally {
    define({ value: undefined, writable: true });
  }
}
