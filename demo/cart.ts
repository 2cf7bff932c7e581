import type { Request } from 'express';
import { type Product, productOf } from './products.js';

const MAX_PIECES = 50;

/** What the shop keeps in a session: a product's slug for each piece. */
interface Kept {
  cart?: readonly string[];
  /** the pieces of the last purchase */
  bought?: readonly string[];
}

export interface CartLine {
  readonly product: Product;
  readonly pieces: number;
  readonly euros: number;
}

/** Where Redis is away there is no session: then it is an object that nobody keeps. */
export const keptIn = ({ session }: Request): Kept => (session as Kept | undefined) ?? {};

export const cartOf = (req: Request): readonly string[] => keptIn(req).cart ?? [];

export const boughtBy = (req: Request): readonly string[] => keptIn(req).bought ?? [];

/** One line for each product. */
export function linesOf(slugs: readonly string[]): CartLine[] {
  return [...new Set(slugs)].flatMap((slug) => {
    const product = productOf(slug);
    const pieces = slugs.filter((one) => one === slug).length;
    return product ? [{ product, pieces, euros: pieces * product.euros }] : [];
  });
}

export const eurosOf = (lines: readonly CartLine[]): number => lines.reduce((sum, { euros }) => sum + euros, 0);

/** False: the cart is full. */
export function addToCart(req: Request, { slug }: Product): boolean {
  const cart = cartOf(req);
  if (cart.length >= MAX_PIECES) return false;
  keptIn(req).cart = [...cart, slug];
  return true;
}

export function removeFromCart(req: Request, { slug }: Product): void {
  keptIn(req).cart = cartOf(req).filter((one) => one !== slug);
}

/** False: the cart was empty. */
export function buyCart(req: Request): boolean {
  const cart = cartOf(req);
  if (cart.length === 0) return false;
  Object.assign(keptIn(req), { bought: cart, cart: [] } satisfies Kept);
  return true;
}
