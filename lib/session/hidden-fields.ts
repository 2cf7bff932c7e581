import type { SessionData } from 'express-session';
import { isUserSubject } from '../intelligence/command/subject.js';
import { MAX_ID_LENGTH } from '../redis/keys.js';
import { isSaveIds } from './save-ids.js';

/**
 * What is stored with a session and never shown to its application, by the names of top-level fields of the session's JSON.
 * The names are reserved: an application's own value under one of them is not stored.
 */
export interface HiddenFields {
  /** When the session was made, ms since 1970. */
  readonly __madeAt?: number | undefined;
  /**
   * The subject of an anonymous visitor, where that is not this session's id. Of a user's session it is what is still to be carried
   * to the user; an empty text: nothing is.
   */
  readonly __subject?: string | undefined;
  /** The subject of the user whom the application has named by `req.intelligence.identify()`, or UNNAMED_USER. */
  readonly __user?: string | undefined;
  /** Since when the session has its id, ms since 1970. */
  readonly __idSince?: number | undefined;
  /** The id that it had before, where it got another one by itself. */
  readonly __previous?: string | undefined;
  /** The ids of the latest saves (see save-ids.ts), with option `merge`. */
  readonly __saves?: string | undefined;
}

/** Stands for a user who was identified while it was not known by what users are named: somebody is logged in, and nothing is kept of them. */
export const UNNAMED_USER = '';

type Name = keyof HiddenFields;

/** What the value of each field is: anybody may have written what stands in Redis, and anything else counts as not there. */
const CHECKS: Readonly<Record<Name, (value: unknown) => boolean>> = {
  __madeAt: (value) => Number.isSafeInteger(value),
  __subject: (value) => typeof value === 'string' && value.length <= MAX_ID_LENGTH && !isUserSubject(value),
  __user: (value) => typeof value === 'string' && (value === UNNAMED_USER || isUserSubject(value)),
  __idSince: (value) => Number.isSafeInteger(value),
  __previous: (value) => typeof value === 'string',
  __saves: isSaveIds,
};
const NAMES = Object.keys(CHECKS) as Name[];

type Fields = { [N in Name]?: HiddenFields[N] };
type Values = Record<string, unknown>;

/** The fields of session objects, of those that were read and of express-session's. They go when the objects go. */
const fieldsOf = new WeakMap<object, Fields>();

const NONE: HiddenFields = {};

/** The hidden fields of a session object. */
export const hiddenOf = (session: object): HiddenFields => fieldsOf.get(session) ?? NONE;

/** Of whom something is known by a session where no users are known: the visitor, by the session's first id. */
export const subjectOfSession = (session: SessionData & { readonly id: string }): string =>
  hiddenOf(session).__subject || session.id;

/** Sets hidden fields of a session object, or removes them (undefined); its next save stores them. */
export function hide(session: object, fields: HiddenFields): void {
  const own = fieldsOf.get(session);
  if (own) Object.assign(own, fields);
  else fieldsOf.set(session, { ...fields });
}

/** Another object continues a session: it has the same hidden fields from now on. */
export function shareHidden(from: object, to: object): void {
  const fields = fieldsOf.get(from);
  if (fields) fieldsOf.set(to, fields);
}

/** Takes the hidden fields out of a session that was read just now, and keeps them beside it. */
export function takeHidden(session: SessionData): SessionData {
  const values = session as unknown as Values;
  for (const name of NAMES)
    if (Object.hasOwn(values, name)) {
      if (CHECKS[name](values[name])) hide(session, { [name]: values[name] } as HiddenFields);
      delete values[name];
    }
  return session;
}

/**
 * The hidden fields of a merge: those that stand in Redis stay, but for those that this request has changed. Where Redis has none,
 * the request's own is taken. Which saves are part of what stands in Redis, Redis knows.
 */
export function mergeHidden(current: SessionData, loaded: SessionData, saved: SessionData): void {
  const [now, before, after] = [hiddenOf(current), hiddenOf(loaded), hiddenOf(saved)];
  for (const name of NAMES) {
    if (name === '__saves') continue;
    const isChanged = before[name] !== after[name];
    if (isChanged && (before[name] !== undefined || now[name] === undefined)) hide(current, { [name]: after[name] });
  }
}

/** A session as a serializer of the application gets it: a copy that has the hidden fields, where there are any. */
export function withHidden(session: SessionData): SessionData {
  const fields = definedFields(session);
  return fields.length === 0 ? withoutReserved(session) : copyWith(session, fields);
}

/** A session without what the application itself has put under a reserved name. */
export const withoutReserved = (session: SessionData): SessionData =>
  NAMES.some((name) => Object.hasOwn(session, name)) ? copyWith(session, []) : session;

/** A text that JSON.stringify() gave for a session, with the hidden fields at its end: quicker than a copy. */
export function addHidden(text: string, session: SessionData): string {
  const fields = definedFields(session);
  if (fields.length === 0) return text;
  const members = fields.map(([name, value]) => `"${name}":${JSON.stringify(value)}`).join();
  return `${text.slice(0, -1)}${text === '{}' ? '' : ','}${members}}`;
}

function definedFields(session: SessionData): [Name, unknown][] {
  const fields = fieldsOf.get(session);
  return fields ? (Object.entries(fields) as [Name, unknown][]).filter(([, value]) => value !== undefined) : [];
}

/** A copy with other hidden fields, which has what does not show in JSON, too: its id, its methods. */
function copyWith(session: SessionData, fields: readonly [Name, unknown][]): SessionData {
  const properties = Object.getOwnPropertyDescriptors(session) as PropertyDescriptorMap;
  for (const name of NAMES) delete properties[name];
  for (const [name, value] of fields)
    properties[name] = { value, enumerable: true, configurable: true, writable: true };
  return Object.create(Object.getPrototypeOf(session), properties) as SessionData;
}
