export interface Product {
  readonly slug: string;
  readonly name: string;
  readonly euros: number;
  /** Where a visitor is led who has put the product into the cart; combos ask about views of it. */
  readonly page: string;
}

/** A page below /added is rendered without waiting, one below /added-sync waits for the worker. */
export const products: readonly Product[] = [
  { slug: 'tv', name: 'Television, 55 inches', euros: 649, page: '/added/tv' },
  { slug: 'tv-mount', name: 'TV wall mount', euros: 39, page: '/added/tv-mount' },
  { slug: 'soundbar', name: 'Soundbar', euros: 179, page: '/added/soundbar' },
  { slug: 'headphones', name: 'Headphones', euros: 89, page: '/added-sync/headphones' },
];

/** What the combo `tv-on-the-wall` suggests (shop.ts). */
export const cable: Product = { slug: 'hdmi-cable', name: 'HDMI cable, 2 m', euros: 12, page: '/added/hdmi-cable' };

const bySlug = new Map([...products, cable].map((product) => [product.slug, product]));

export const productOf = (slug: unknown): Product | undefined => bySlug.get(String(slug));
