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
/** What the site itself keeps of a subject, as the commands keep theirs: which notifications were read (lib/notifications). */
const KEPT_BY_SITE = ['seen'] as const;
/** What the site keeps with an expiry of its own: a user's own notifications. */
export const TEMPORARY_BY_SITE: readonly string[] = ['inbox'];
/** The last part of the name of a key that lives as long as what else is kept of its subject. */
export type KeptKey = BuiltIn['makes'][number] | (typeof KEPT_BY_SITE)[number];

/** Makes `A & B` of `A | B`. */
type Intersection<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;
/** The methods that the commands add to `req.intelligence`. */
export type CommandMethods = Intersection<BuiltIn['methods']>;

export const descriptors: readonly CommandDescriptor[] = Object.values(folders);
/** The keys that live as long as what else is kept of their subject: a page view renews them, and `own` by itself (own-keys.lua). */
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

/** Does a command only read? Where nobody waits for its answer, it need not be carried out. */
export const isRead = (command: string): boolean => builtIn.get(command)?.effect === 'reads';

/** All keys that a command may be given; those that it is always given come first. */
export const keysOf = ({ keys, mayTakeAll }: CommandDescriptor): readonly string[] =>
  mayTakeAll ? [...new Set([...keys, ...keptKeys, 'own', 'gone'])] : keys;

/** The files of a command's Lua, named from the project's root. */
export const luaFiles = (command: CommandDescriptor): string[] => {
  const [folder] = Object.entries(folders).find(([, one]) => one === command) ?? [];
  return command.lua.map((file) => `lib/intelligence/commands/${folder}/${file}`);
};
