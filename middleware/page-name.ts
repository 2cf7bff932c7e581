import { createHash } from 'node:crypto';

/** A longer name is cut and hashed: a visitor chooses it, and it is kept until a worker has it. */
const MAX_BYTES = 1024;
const KEPT_BYTES = MAX_BYTES - 44;
/** Of a longer text only the beginning is normalised: a million characters would take half a second. */
const MAX_LENGTH = 4096;

/** What belongs to a page's name besides its path. */
export interface PageNameOptions {
  /** `/news/1/` is another page than `/news/1`. @default false */
  readonly strict?: boolean | undefined;
  /** Parameters of the query that belong to the name, sorted in it. @default []: the query is left out */
  readonly query?: readonly string[] | undefined;
}

/** A path that needs no change: segments without a percent sign and without a dot at their beginning, and no slash at the end. */
const NORMAL_PATH = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+$/;
const ORIGIN = /^https?:\/\/[^/?#]*/i;
const UNRESERVED = /^[\w.~-]$/;
/** A percent-encoded byte, a percent sign that encodes nothing, or what has to be encoded: in a path, in a query's parameter. */
const PATH_PART = /%[\da-f]{2}|%|[^\w.~!$&'()*+,;=:@/%-]+/gi;
const QUERY_PART = /%[\da-f]{2}|%|[^\w.~%-]+/gi;

/**
 * Gives a page one name, however it is spelled (RFC 3986, section 6.2.2). What needs no percent-encoding is decoded, the rest is
 * encoded as UTF-8 in upper case, and dot segments are removed; the case stays. Of an http(s) URL only the path counts. The fragment
 * goes, and so do the slash at the end and the query, unless the options say otherwise. A text that begins neither with a slash nor as an
 * http(s) URL is a name already, and a name is given back as it is. Never throws. Of a name with more than 1,024 bytes the beginning and
 * the SHA-256 are its name; a path (with its query, where that counts) of more than 4,096 characters counts as it is spelled.
 */
export function pageNames({ strict = false, query = [] }: PageNameOptions = {}): (text: string) => string {
  const wanted = new Set(query.map((name) => encode(name.replaceAll('%', '%25'), QUERY_PART)));
  const nameOf = (text: string): string => {
    const target = text.startsWith('/') ? text : withoutOrigin(text);
    if (target === undefined) return text;
    const [withQuery = ''] = target.split('#', 1);
    const mark = withQuery.indexOf('?');
    const path = mark < 0 ? withQuery : withQuery.slice(0, mark);
    const counts = mark < 0 || wanted.size === 0 ? path : withQuery;
    if (counts.length > MAX_LENGTH) return shortened(normalPath(path.slice(0, MAX_BYTES), true), counts);
    const name = path === '/' || NORMAL_PATH.test(path) ? path : normalPath(path, strict);
    return mark < 0 || wanted.size === 0 ? name : name + normalQuery(withQuery.slice(mark + 1), wanted);
  };
  return (text) => bounded(nameOf(text));
}

/** Of a name that has more than 1,024 bytes: the first 980, "~", and the 43 characters of its SHA-256 (base64url). */
function bounded(name: string): string {
  if (name.length * 3 <= MAX_BYTES) return name;
  return name.length <= MAX_BYTES && Buffer.byteLength(name) <= MAX_BYTES ? name : shortened(name, name);
}

function shortened(beginning: string, name: string): string {
  // A character has one byte at least.
  const bytes = Buffer.from(beginning.slice(0, MAX_BYTES));
  let end = Math.min(KEPT_BYTES, bytes.length);
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--; // It is not cut within a character, nor within a percent-encoded byte.
  if (bytes[end - 1] === 0x25) end -= 1;
  else if (bytes[end - 2] === 0x25) end -= 2;
  return `${bytes.toString('utf8', 0, end)}~${createHash('sha256').update(name).digest('base64url')}`;
}

function withoutOrigin(text: string): string | undefined {
  const origin = ORIGIN.exec(text)?.[0];
  if (origin === undefined) return undefined;
  const target = text.slice(origin.length);
  return target.startsWith('/') ? target : `/${target}`;
}

function encode(text: string, part: RegExp): string {
  return text.replace(part, (found) => {
    if (found.length !== 3 || !found.startsWith('%')) return encodeBytes(found);
    const character = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    return UNRESERVED.test(character) ? character : found.toUpperCase();
  });
}

function encodeBytes(text: string): string {
  return Buffer.from(text)
    .toString('hex')
    .toUpperCase()
    .replace(/../g, (byte) => `%${byte}`);
}

function normalPath(path: string, strict: boolean): string {
  const segments = encode(path, PATH_PART).split('/').slice(1);
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  // A dot segment at the end leaves its slash.
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  if (!strict) while (kept.at(-1) === '') kept.pop();
  return `/${kept.join('/')}`;
}

function normalQuery(query: string, wanted: ReadonlySet<string>): string {
  const pairs: [name: string, text: string][] = [];
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=');
    const [name, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    const key = parameter(name);
    if (wanted.has(key)) pairs.push([key, `${key}=${parameter(value)}`]);
  }
  if (pairs.length === 0) return '';
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `?${pairs.map(([, text]) => text).join('&')}`;
}

/** A plus is a space in a query. */
const parameter = (text: string): string => encode(text.replaceAll('+', '%20'), QUERY_PART);
