import type session from 'express-session';

/**
 * Express' request, as express-session's types know it. So this package needs no types of Express' itself, of which there may be two
 * versions, or none that a strict package manager lets it see.
 */
export type ExpressRequest = Parameters<ReturnType<typeof session>>[0];
