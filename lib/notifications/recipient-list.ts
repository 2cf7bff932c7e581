import { describeValue } from '../options/check-options.js';
import { argumentError, checkIsObject } from '../options/check-arguments.js';
import { OptionError } from '../errors/errors.js';
import { userIdOf } from '../intelligence/command/subject.js';
import { inboxListKey, isSendable, MAX_ID_LENGTH, notificationsKey } from '../redis/keys.js';
import { changesChannel } from '../transport/protocol.js';

/** To whom a notification is published: to everyone in a group, or to one user, by the id that the site's option `user` gives. */
export type NotificationRecipient =
  | { readonly group: string; readonly user?: undefined }
  | { readonly user: string | number | bigint; readonly group?: undefined };

/** Where a list of notifications is in Redis: a group's list, or a user's own. */
export interface RecipientList {
  readonly key: string;
  /** The channel on which changes of the list are published. */
  readonly channel: string;
  /** The group's name, undefined for a user's own list. */
  readonly group: string | undefined;
}

/** Names the keys and channels of lists, all of one namespace and database. */
export class RecipientLists {
  constructor(
    readonly namespace: string,
    readonly database: number,
  ) {}

  group(group: string): RecipientList {
    const { namespace, database } = this;
    return { key: notificationsKey(namespace, group), channel: changesChannel(namespace, { group }, database), group };
  }

  /** The list of a user, by the user's subject. */
  subject(subject: string): RecipientList {
    const { namespace, database } = this;
    const channel = changesChannel(namespace, { subject }, database);
    return { key: inboxListKey(namespace, subject), channel, group: undefined };
  }
}

/** A recipient that was checked: a group by its name, or a user by the id as a text. */
export type Recipient =
  { readonly group: string; readonly user?: undefined } | { readonly user: string; readonly group?: undefined };

/** Checks the recipient that a caller gives. */
export function checkRecipient(method: string, to: NotificationRecipient): Recipient {
  checkIsObject(method, to, 'to whom, { group } or { user }');
  const names = Object.keys(to).filter((name) => to[name as 'group'] !== undefined);
  if (names.length !== 1 || !['group', 'user'].includes(names[0] as string))
    throw new OptionError(
      `${method}(): expected to whom, one of { group } and { user }, got ${names.length === 0 ? describeValue(to) : `{ ${names.join(', ').slice(0, 80)} }`}`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
  if (to.group !== undefined) {
    checkGroup(method, to.group);
    return { group: to.group };
  }
  const user = userIdOf(to.user);
  if (user === undefined || user === '') throw argumentError(method, "a user's id, a text or a number", to.user);
  return { user };
}

export function checkGroup(method: string, group: unknown): asserts group is string {
  // half a character would be stored as another one, and what was read of the group would not be found
  if (typeof group !== 'string' || !isSendable(group) || !group.isWellFormed())
    throw argumentError(method, `a group's name, a text of 1 to ${MAX_ID_LENGTH} whole characters`, group);
}
