import { argumentError } from '../lib/options/check-arguments.js';
import { checkGroup } from '../lib/notifications/recipient-list.js';
import { ignoreRejection } from '../lib/session/application-functions.js';
import type { ExpressRequest } from './express-request.js';

/** The option `notifications` of intelligentSession(). */
export interface SiteNotifications {
  /** The names of the groups whose notifications a request's visitor gets: 100 at most. */
  readonly groups: (req: ExpressRequest) => readonly string[];
  /** What a group had before a visitor first asked for any: `'unread'`, or `'read'`. @default 'unread' */
  readonly earlier?: 'unread' | 'read' | undefined;
  /** Waits until replicas have a read mark, by WAIT on a connection of its own. @default none */
  readonly durable?: { readonly replicas?: number | undefined; readonly timeoutMs?: number | undefined } | undefined;
}

/** How many groups a visitor has at most: each has a list that a page has to read. */
const MAX_GROUPS = 100;

/** The groups that an application has named, each once; a copy, since the application may change its list later. */
export function checkGroups(groups: unknown): readonly string[] {
  ignoreRejection(groups);
  if (!Array.isArray(groups) || groups.length > MAX_GROUPS)
    throw argumentError('notifications', `"groups" to give a list of names, ${MAX_GROUPS} at most`, groups);
  for (const group of groups) checkGroup('notifications', group);
  return [...new Set(groups)];
}
