import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';
import { argumentError } from '../options/check-arguments.js';

/** A session's own data: without its cookie, which is never merged. */
export type SessionContents = Omit<Partial<SessionData>, 'cookie'>;

/** Merges a session as a request has read it (`base`), as it would save it (`mine`), and as it stands in Redis (`theirs`). */
export type MergeSessions = (base: SessionContents, mine: SessionContents, theirs: SessionContents) => SessionContents;

type Values = Record<string, unknown>;
/** What becomes of a value that this request and another may both have changed. `base` is undefined where there was none. */
type MergeValues = (base: unknown, mine: unknown, theirs: unknown, key: string) => unknown;

/**
 * Makes a function for the option `merge` of the store: under these top-level keys, it keeps what each of two requests added.
 * Lists have what each has appended, numbers what each has added, objects are merged key by key, at any depth. Anything else is
 * this request's where it changed it, else the other's, as without the option.
 */
export function mergeGrowing(...keys: readonly string[]): MergeSessions {
  if (keys.length === 0 || keys.some((key) => typeof key !== 'string' || key === ''))
    throw argumentError('mergeGrowing', 'the keys whose lists and numbers only grow, each a text', keys[0]);
  const growing = new Set(keys);
  const mergeTop: MergeValues = (base, mine, theirs, key) =>
    growing.has(key) ? grown(base, mine, theirs, key) : isDeepStrictEqual(base, mine) ? theirs : mine;
  return (base, mine, theirs) =>
    mergeKeys(base as Values, mine as Values, theirs as Values, mergeTop) as unknown as SessionContents;
}

/** Merges key by key. A key that only one side has was added there, or deleted by the other side, as `base` says. */
function mergeKeys(base: Values, mine: Values, theirs: Values, merge: MergeValues): Values {
  const merged: Values = {};
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [before, own, other] = [base, mine, theirs].map((values) => Object.getOwnPropertyDescriptor(values, key));
    let kept = own ?? other;
    if (own && other) kept = { ...own, value: merge(before?.value, own.value, other.value, key) };
    // this request has deleted the key; or the other has, and this request has not changed the key's value
    else if (before && (!own || isDeepStrictEqual(before.value, own.value))) kept = undefined;
    if (kept) Object.defineProperty(merged, key, kept);
  }
  return merged;
}

/** Merges what only grows. No `base`, or null, counts as an empty list, a 0 or an empty object: both may have made one. */
const grown: MergeValues = (base, mine, theirs) => {
  const hasNoBase = base === undefined || base === null;
  if (Array.isArray(mine) && Array.isArray(theirs) && (hasNoBase || Array.isArray(base)))
    return grownList(hasNoBase ? [] : (base as unknown[]), mine, theirs);
  if (typeof mine === 'number' && typeof theirs === 'number' && (hasNoBase || typeof base === 'number'))
    return grownNumber(hasNoBase ? 0 : (base as number), mine, theirs);
  if (isPlain(mine) && isPlain(theirs) && (hasNoBase || isPlain(base)))
    return mergeKeys(hasNoBase ? {} : (base as Values), mine, theirs, grown);
  return isDeepStrictEqual(base, mine) ? theirs : mine;
};

/** Where one side has only appended, that goes behind the other side's list, which may have lost or changed elements. */
function grownList(base: unknown[], mine: unknown[], theirs: unknown[]): unknown[] {
  const isBeginningOf = (list: unknown[]) =>
    list.length >= base.length && base.every((element, i) => isDeepStrictEqual(element, list[i]));
  if (isBeginningOf(mine)) return [...theirs, ...mine.slice(base.length)];
  if (isBeginningOf(theirs)) return [...mine, ...theirs.slice(base.length)];
  return mine;
}

function grownNumber(base: number, mine: number, theirs: number): number {
  if (theirs === base) return mine; // the sum would round a fraction once more
  const sum = theirs + (mine - base);
  return Number.isFinite(sum) ? sum : mine;
}

/** Is this an object as JSON.parse() makes it, in any realm? One of a class, from a serializer, is not merged key by key. */
export function isPlain(value: unknown): value is Values {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
