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
 * Makes a function for the option `merge` of the store: below these top-level keys, what two requests have added is kept of both.
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

/** Merges key by key. A key that one of the two does not have was added or deleted: this request decides where it did either. */
function mergeKeys(base: Values, mine: Values, theirs: Values, merge: MergeValues): Values {
  const merged: Values = {};
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [before, own, other] = [base, mine, theirs].map((values) => Object.getOwnPropertyDescriptor(values, key));
    let kept = own ?? other;
    if (own && other) kept = { ...own, value: merge(before?.value, own.value, other.value, key) };
    // mine has deleted it; or theirs has, and mine has not changed it
    else if (before && (!own || isDeepStrictEqual(before.value, own.value))) kept = undefined;
    if (kept) Object.defineProperty(merged, key, kept);
  }
  return merged;
}

/** No value, or null, counts as an empty one: two requests may both have made the list. */
const grown: MergeValues = (base, mine, theirs) => {
  const isNew = base === undefined || base === null;
  if (Array.isArray(mine) && Array.isArray(theirs) && (isNew || Array.isArray(base)))
    return grownList(isNew ? [] : (base as unknown[]), mine, theirs);
  if (typeof mine === 'number' && typeof theirs === 'number' && (isNew || typeof base === 'number'))
    return grownNumber(isNew ? 0 : (base as number), mine, theirs);
  if (isPlain(mine) && isPlain(theirs) && (isNew || isPlain(base)))
    return mergeKeys(isNew ? {} : (base as Values), mine, theirs, grown);
  return isDeepStrictEqual(base, mine) ? theirs : mine;
};

/** Where one has only appended, that goes behind the other's list, whatever became of its elements. */
function grownList(base: unknown[], mine: unknown[], theirs: unknown[]): unknown[] {
  const isBeginningOf = (list: unknown[]) =>
    list.length >= base.length && base.every((element, i) => isDeepStrictEqual(element, list[i]));
  if (isBeginningOf(mine)) return [...theirs, ...mine.slice(base.length)];
  if (isBeginningOf(theirs)) return [...mine, ...theirs.slice(base.length)];
  return mine;
}

function grownNumber(base: number, mine: number, theirs: number): number {
  if (theirs === base) return mine; // what was rounded once is not rounded again
  const sum = theirs + (mine - base);
  return Number.isFinite(sum) ? sum : mine;
}

/** An object as JSON.parse() makes them, in whichever realm: what a serializer makes of a class is left whole. */
function isPlain(value: unknown): value is Values {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
