import type { CommandDescriptor } from './command/descriptor.js';
import { activity } from './commands/activity/index.js';
import { carry } from './commands/carry/index.js';
import { combo } from './commands/combo/index.js';
import { explain } from './commands/explain/index.js';
import { freshPages } from './commands/fresh-pages/index.js';
import { markNotificationSeen } from './commands/mark-notification-seen/index.js';
import { notifications } from './commands/notifications/index.js';
import { pageview } from './commands/pageview/index.js';

/** The built-in commands, by the names of their folders. The next command is one more folder, and a line here. */
const folders = {
  pageview,
  'mark-notification-seen': markNotificationSeen,
  combo,
  'fresh-pages': freshPages,
  notifications,
  activity,
  carry,
  explain,
} as const;

type BuiltIn = (typeof folders)[keyof typeof folders];
/** What the site keeps of a subject beside the commands' keys: which notifications were read, and a user's own ones (lib/notifications). */
const KEPT_BY_SITE = ['seen'] as const;
export const TEMPORARY_BY_SITE: readonly string[] = ['inbox'];
/** The last part of a key of what is kept of a session. */
export type KeptKey = BuiltIn['makes'][number] | (typeof KEPT_BY_SITE)[number];

type Intersection<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;
/** The methods that the commands add to `req.intelligence`. */
export type CommandMethods = Intersection<BuiltIn['methods']>;

export const descriptors: readonly CommandDescriptor[] = Object.values(folders);
/** They live as long as the session, and a page view renews them. */
export const keptKeys: readonly KeptKey[] = [
  ...Object.values(folders).flatMap(({ makes }) => makes as readonly KeptKey[]),
  ...KEPT_BY_SITE,
];
/** The keys that have an expiry of their own. */
export const temporaryKeys: readonly string[] = [
  ...descriptors.flatMap(({ temporary = [] }) => temporary),
  ...TEMPORARY_BY_SITE,
];

/** The built-in commands by their names on the wire. */
export const builtIn: ReadonlyMap<string, CommandDescriptor> = new Map(descriptors.map((one) => [one.name, one]));

/** Does a command only read? Where nobody waits for its answer, nothing is lost without it. */
export const isRead = (command: string): boolean => builtIn.get(command)?.effect === 'reads';

/** All keys that a command may be given, those first that it always is. */
export const keysOf = ({ keys, mayTakeAll }: CommandDescriptor): readonly string[] =>
  mayTakeAll ? [...new Set([...keys, ...keptKeys, 'own', 'gone'])] : keys;

/** The files of a command's Lua, named from the project's root. */
export const luaFiles = (command: CommandDescriptor): string[] => {
  const [folder] = Object.entries(folders).find(([, one]) => one === command) ?? [];
  return command.lua.map((file) => `lib/intelligence/commands/${folder}/${file}`);
};
