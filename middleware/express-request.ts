import type session from 'express-session';

/**
 * Express' request, as express-session's types know it: whoever has those has Express' types too, in one version and where
 * a package manager lets nobody see another's packages.
 */
export type ExpressRequest = Parameters<ReturnType<typeof session>>[0];
