import type session from 'express-session';

/**
 * Express' request, as express-session's types know it. So the public types need no import of Express' types, of which there
 * may be two versions, or none that a strict package manager lets this package see.
 */
export type ExpressRequest = Parameters<ReturnType<typeof session>>[0];
