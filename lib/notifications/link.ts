import { argumentError } from '../options/check-arguments.js';

const LINK = 'a link by http or https, or a path that begins with one "/"';

/**
 * Refuses a link that leads elsewhere than it seems to, or that runs as a script. Browsers read a backslash as a slash and leave out
 * tabs and newlines, so a link may have none of them.
 */
export function checkLink(method: string, link: unknown): asserts link is string {
  if (typeof link !== 'string' || !isLink(link)) throw argumentError(method, LINK, link);
}

/** Is the link a path of the site, or a URL of http or https without a user name? `//host` is no path: it leads to another host. */
export function isLink(link: string): boolean {
  if (/[\\\s\p{Cc}\p{Cf}]/u.test(link) || !link.isWellFormed()) return false;
  if (link.startsWith('/')) return !link.startsWith('//') && URL.canParse(link, 'http://localhost');
  if (!/^https?:\/\/[^/]/i.test(link) || !URL.canParse(link)) return false;
  const { username, password } = new URL(link);
  return username === '' && password === '';
}
