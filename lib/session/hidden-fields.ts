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
   * The subject of an anonymous visitor, where that is not this session's id. In a user's session: the anonymous subject whose
   * data are still to be carried to the user, or an empty text where none are.
   */
  readonly __subject?: string | undefined;
  /** The subject of the user whom the application has named by `req.intelligence.identify()`, or UNNAMED_USER. */
  readonly __user?: string | undefined;
  /** Since when the session has its id, ms since 1970. */
  readonly __idSince?: number | undefined;
  /** The session's id before its present one, which session-rotation.ts gave it. */
  readonly __previous?: string | undefined;
  /** The ids of the latest saves (see save-ids.ts), with option `merge`. */
  readonly __saves?: string | undefined;
}

/** `__user` of who was identified before this process had the key that names users: a user of whom nothing is kept. */
export const UNNAMED_USER = '';

type Name = keyof HiddenFields;

/** Checks of each field's value. Others may write to Redis, too: a value that fails its check counts as not there. */
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

/** The hidden fields by session object: the objects that were read, and those that express-session makes of them. */
const fieldsOf = new WeakMap<object, Fields>();

const NONE: HiddenFields = {};

/** The hidden fields of a session object. */
export const hiddenOf = (session: object): HiddenFields => fieldsOf.get(session) ?? NONE;

/** The subject of a session's visitor, on a site without option `user`: the id of the visitor's first session. */
export const subjectOfSession = (session: SessionData & { readonly id: string }): string =>
  hiddenOf(session).__subject || session.id;

/** Sets hidden fields of a session object, or removes them (undefined); its next save stores them. */
export function hide(session: object, fields: HiddenFields): void {
  const own = fieldsOf.get(session);
  if (own) Object.assign(own, fields);
  else fieldsOf.set(session, { ...fields });
}

/** `to` is another object of the same session: both have the same hidden fields from now on. */
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
 * Merges the hidden fields into `current`, the session in Redis. A field that this request has changed or removed becomes the
 * request's; one that it has added, only where Redis has none. `__saves` stays: it names the saves that are part of `current`.
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

/** A text that JSON.stringify() gave for a session, with the hidden fields at its end: faster than a copy of the session. */
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

/** A copy with these fields instead of what is under reserved names. It keeps what JSON does not show: id and methods. */
function copyWith(session: SessionData, fields: readonly [Name, unknown][]): SessionData {
  const properties = Object.getOwnPropertyDescriptors(session) as PropertyDescriptorMap;
  for (const name of NAMES) delete properties[name];
  for (const [name, value] of fields)
    properties[name] = { value, enumerable: true, configurable: true, writable: true };
  return Object.create(Object.getPrototypeOf(session), properties) as SessionData;
}
