import { OptionError } from '../errors/errors.js';
import { argumentError, checkIsObject, checkText } from '../options/check-arguments.js';
import { MAX_TTL_SECONDS } from '../redis/expiry.js';
import { checkLink } from './link.js';

/** A notification as readers get it. All its texts are data: a page escapes them, as it does with any text of a user. */
export interface Notification {
  readonly id: string;
  readonly title: string;
  readonly body?: string;
  /** http, https, or a path of the site. */
  readonly link?: string;
  /** What the publisher gave beside the texts, as JSON gives it back. */
  readonly data?: unknown;
  /** When it became visible, or is going to, by Redis' clock. */
  readonly publishedAt: Date;
  /** From when on no list shows it any more: as the publisher said, or when it has been kept for the publisher's `keepForDays`. */
  readonly expires: Date;
  /** The group that it was published to; a user's own has none. */
  readonly group?: string;
}

/** What a publisher says of a notification. */
export interface NewNotification {
  /** Names it within its list, 1 to 128 characters; the same id again is the same notification. @default a random one */
  readonly id?: string | undefined;
  readonly title: string;
  readonly body?: string | undefined;
  /** http, https, or a path of the site. */
  readonly link?: string | undefined;
  /** Anything that JSON can say. */
  readonly data?: unknown;
  /** From when on no list shows it any more. @default when it has been kept for `keepForDays` */
  readonly expires?: Date | undefined;
  /** From when on lists show it; a time that is past means at once. @default at once */
  readonly publishAt?: Date | undefined;
}

/** What may be changed of a notification: null takes a field away, and what is not named stays. */
export interface NotificationChanges {
  readonly title?: string | undefined;
  readonly body?: string | null | undefined;
  readonly link?: string | null | undefined;
  readonly data?: unknown;
  readonly expires?: Date | null | undefined;
}

/** The content of a notification, as its stored JSON has it. */
export interface NotificationContent {
  title: string;
  body?: string;
  link?: string;
  data?: unknown;
}

/** The field of a list's hash that holds the state of the list itself: no notification may have this id. */
export const LIST_STATE = ':';

/** In characters: room for a UUID or a URL's path, and no more, since an id is in every reader's reply. */
const MAX_ID_LENGTH = 128;
const ID = `a notification's id, 1 to ${MAX_ID_LENGTH} characters without control characters, and not "${LIST_STATE}"`;

export function checkNotificationId(method: string, id: unknown): asserts id is string {
  const isId =
    typeof id === 'string' &&
    id.length >= 1 &&
    id.length <= MAX_ID_LENGTH &&
    id !== LIST_STATE &&
    id.isWellFormed() &&
    !/\p{Cc}/u.test(id);
  if (!isId) throw argumentError(method, ID, id);
}

const FIELDS = ['id', 'title', 'body', 'link', 'data', 'expires', 'publishAt'];
const CHANGEABLE_FIELDS = ['title', 'body', 'link', 'data', 'expires'];

/** Refuses a value that is no notification, and unknown fields: if they were ignored, a misspelt name would be noticed only in production. */
export function checkNewNotification(method: string, given: unknown): asserts given is NewNotification {
  checkIsObject(method, given, 'a notification, an object with a title');
  const { id, title, expires, publishAt } = given as Partial<Record<keyof NewNotification, unknown>>;
  checkFields(method, given as object, FIELDS);
  if (id !== undefined) checkNotificationId(method, id);
  checkText(method, title, 'a title, a text');
  checkContent(method, given as object);
  if (publishAt !== undefined) checkDate(method, 'publishAt', publishAt);
  if (expires !== undefined) checkExpires(method, expires, publishAt as Date | undefined);
}

export function checkChanges(method: string, given: unknown): asserts given is NotificationChanges {
  checkIsObject(method, given, 'changes, an object');
  const { title, expires } = given as Partial<Record<keyof NotificationChanges, unknown>>;
  checkFields(method, given as object, CHANGEABLE_FIELDS);
  if (title !== undefined) checkText(method, title, 'a title, a text');
  checkContent(method, given as object);
  if (expires !== undefined && expires !== null) checkExpires(method, expires, undefined);
}

function checkFields(method: string, given: object, fields: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !fields.includes(name));
  if (unknown === undefined) return;
  const name = JSON.stringify(unknown.slice(0, 40));
  throw new OptionError(
    `${method}(): there is no field ${name}; a notification may have ${fields.join(', ')}`,
    'ERR_INTELLIGENT_SESSION_ARGUMENT',
  );
}

function checkContent(method: string, { body, link }: { readonly body?: unknown; readonly link?: unknown }): void {
  if (body !== undefined && body !== null && typeof body !== 'string')
    throw argumentError(method, 'a body, a text', body);
  if (link !== undefined && link !== null) checkLink(method, link);
}

function checkDate(method: string, field: string, value: unknown): asserts value is Date {
  if (!(value instanceof Date) || Number.isNaN(value.getTime()))
    throw argumentError(method, `"${field}" to be a Date`, value);
  if (value.getTime() > Date.now() + MAX_TTL_SECONDS * 1000)
    throw argumentError(method, `"${field}" to be within ${MAX_TTL_SECONDS / 86_400} days`, value);
}

/** Refuses an expiry that is past when the notification is published: nobody would ever see it. */
function checkExpires(method: string, expires: unknown, publishAt: Date | undefined): void {
  checkDate(method, 'expires', expires);
  if (expires.getTime() <= Math.max(Date.now(), publishAt?.getTime() ?? 0))
    throw argumentError(method, `"expires" to be a time to come${publishAt ? ', after "publishAt"' : ''}`, expires);
}

/** The JSON that is stored. It has what readers get but no times: those stand before it in the list's field, where Lua can compare them. */
export function formatContent(
  method: string,
  id: string,
  content: { readonly [Field in keyof NotificationContent]?: NotificationContent[Field] | undefined },
  maxBytes: number,
): string {
  const { title, body, link, data } = content;
  let json: string;
  try {
    json = JSON.stringify({ title, body: body ?? undefined, link: link ?? undefined, data });
    // JSON leaves out a function without an error
    if (data !== undefined && JSON.stringify(data) === undefined) throw new TypeError('a function');
  } catch {
    throw argumentError(method, '"data" to be what JSON can say: no BigInt, no function, no circular reference', data);
  }
  const bytes = Buffer.byteLength(id) + Buffer.byteLength(json);
  if (bytes > maxBytes)
    throw new OptionError(
      `${method}(): a notification is at most ${maxBytes} bytes of JSON with its id (option "maxBytes"), got ${bytes}`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
  return json;
}
