import { createHash } from 'node:crypto';
import { notKeyed } from '../lib/intelligence/command/stored-item.js';

/** A longer name is cut and hashed: visitors choose how long a path is, and messages with its name wait in Redis and in workers. */
const MAX_BYTES = 1024;
/** Behind them come "~" and the 43 characters of the hash. */
const KEPT_BYTES = MAX_BYTES - 44;
/** Of a path and query of more characters only the beginning is normalised: of a million that would take half a second. */
const MAX_LENGTH = 4096;

/** What belongs to a page's name besides its path. */
export interface PageNameOptions {
  /** `/news/1/` is another page than `/news/1`. @default false */
  readonly strict?: boolean | undefined;
  /** Parameters of the query that belong to the name, sorted in it. @default []: the query is left out */
  readonly query?: readonly string[] | undefined;
}

/**
 * Matches paths that need no change: no segment is empty, has anything to encode or decode, or begins with a dot, and there is no
 * slash at the end.
 */
const NORMAL_PATH = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+$/;
const ORIGIN = /^https?:\/\/[^/?#]*/i;
const UNRESERVED = /^[\w.~-]$/;
/**
 * What encode() replaces: a percent-encoded byte, a percent sign that encodes nothing, or characters that have to be encoded.
 */
const PATH_PART = /%[\da-f]{2}|%|[^\w.~!$&'()*+,;=:@/%-]+/gi;
const QUERY_PART = /%[\da-f]{2}|%|[^\w.~%-]+/gi;

/**
 * Makes the function that gives a page one name, however it is spelled (RFC 3986, section 6.2.2). Letters, digits and `-._~` are
 * decoded, so `!` and `%21` stay two names; what may not stand in a path is encoded as UTF-8, hex is in upper case, and dot
 * segments are removed; letters keep their case. Of an http(s) URL the origin is left out, and so is the fragment, and unless the
 * options say otherwise the slash at the end and the query. A text that begins neither with a slash nor as an http(s) URL is a name
 * already (but notKeyed()). Never throws. A name of more than 1,024 bytes is shortened to its beginning and its SHA-256; of a path,
 * with the parameters that count, of more than 4,096 characters the spelling is hashed.
 */
export function pageNames({ strict = false, query = [] }: PageNameOptions = {}): (text: string) => string {
  // An option gives a parameter's name decoded: a percent sign in it encodes nothing.
  const wanted = new Set(query.map((name) => encode(name.replaceAll('%', '%25'), QUERY_PART)));
  const nameOf = (text: string): string => {
    const target = text.startsWith('/') ? text : withoutOrigin(text);
    if (target === undefined) return notKeyed(text);
    const [pathAndQuery = ''] = target.split('#', 1);
    const queryAt = pathAndQuery.indexOf('?');
    const path = queryAt < 0 ? pathAndQuery : pathAndQuery.slice(0, queryAt);
    const pairs = queryAt < 0 ? [] : wantedPairs(pathAndQuery.slice(queryAt + 1), wanted);
    const spelled = pairs.length === 0 ? path : `${path}?${pairs.map(({ pair }) => pair).join('&')}`;
    // A slash at the end of the cut path is none at the path's end, so it stays.
    if (spelled.length > MAX_LENGTH) return shortened(normalPath(path.slice(0, MAX_BYTES), true), spelled);
    const name = path === '/' || NORMAL_PATH.test(path) ? path : normalPath(path, strict);
    return name + normalQuery(pairs);
  };
  return (text) => bounded(nameOf(text));
}

/** Shortens a name of more than 1,024 bytes. A UTF-16 code unit has three bytes at most. */
function bounded(name: string): string {
  if (name.length * 3 <= MAX_BYTES) return name;
  return name.length <= MAX_BYTES && Buffer.byteLength(name) <= MAX_BYTES ? name : shortened(name, name);
}

/** The first 980 bytes of the text `shown`, "~", and the SHA-256 of the text `hashed` in base64url. */
function shortened(shown: string, hashed: string): string {
  // A character has one byte at least, so MAX_BYTES of them are enough.
  const bytes = Buffer.from(shown.slice(0, MAX_BYTES));
  let end = Math.min(KEPT_BYTES, bytes.length);
  // It is cut neither within a character (whose further bytes begin with the bits 10) nor within a percent-encoded byte (0x25: "%").
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  if (bytes[end - 1] === 0x25) end -= 1;
  else if (bytes[end - 2] === 0x25) end -= 2;
  return `${bytes.toString('utf8', 0, end)}~${createHash('sha256').update(hashed).digest('base64url')}`;
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
  // A dot segment at the end leaves the slash before it.
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  if (!strict) while (kept.at(-1) === '') kept.pop();
  return `/${kept.join('/')}`;
}

/** A parameter that belongs to the name: its one name, and the pair as it is spelled. */
interface Pair {
  readonly key: string;
  readonly pair: string;
}

function wantedPairs(query: string, wanted: ReadonlySet<string>): Pair[] {
  if (wanted.size === 0) return [];
  // A million parameters have few names, or names that are too long to be wanted: a character has three bytes of "%XX" at most.
  const keys = new Map<string, string | undefined>();
  const longest = 3 * Math.max(...Array.from(wanted, ({ length }) => length));
  const keyOf = (name: string): string | undefined => {
    if (name.length > longest) return undefined;
    if (!keys.has(name)) keys.set(name, parameter(name));
    return keys.get(name);
  };
  return query.split('&').flatMap((pair) => {
    const equals = pair.indexOf('=');
    const key = keyOf(equals < 0 ? pair : pair.slice(0, equals));
    return key !== undefined && wanted.has(key) ? [{ key, pair }] : [];
  });
}

function normalQuery(pairs: readonly Pair[]): string {
  if (pairs.length === 0) return '';
  const texts = pairs
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ key, pair }) => `${key}=${parameter(pair.includes('=') ? pair.slice(pair.indexOf('=') + 1) : '')}`);
  return `?${texts.join('&')}`;
}

/** The one spelling of a parameter's name or value. In a query a plus is a space. */
const parameter = (text: string): string => encode(text.replaceAll('+', '%20'), QUERY_PART);
