import type { Request } from 'express';
import { keptIn } from './cart.js';

const NAME = /^\p{L}[\p{L}\p{N} .'’-]{0,29}$/u;

/** Undefined: the text is no name. */
export function nameIn(text: unknown): string | undefined {
  const name = String(text ?? '')
    .trim()
    .normalize();
  return NAME.test(name) ? name : undefined;
}

/** The name of who is logged in; undefined for nobody. */
export const userOf = (session: object | undefined): string | undefined =>
  (session as { userId?: string } | undefined)?.userId;

/** In a new session, against session fixation: somebody else may know the old id. A visitor's cart comes along, another user's does not. */
export async function logIn(req: Request, name: string): Promise<void> {
  const { cart, bought } = userOf(req.session) === undefined ? keptIn(req) : {};
  await req.session.regenerate();
  Object.assign(req.session, { cart, bought, userId: name });
}
