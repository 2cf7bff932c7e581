import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { combo } from './combo.js';
import type { BuiltIn, Intelligence, ListCommand } from './command.js';
import { featuredpages } from './featuredpages.js';
import { markNotificationSeen } from './mark-notification-seen.js';
import { notifications } from './notifications.js';
import { pageview } from './pageview.js';

const single = new Map<string, BuiltIn>(Object.entries({ pageview, 'mark-notification-seen': markNotificationSeen }));

export const listCommands: ReadonlyMap<string, ListCommand> = new Map(
  Object.entries({ combo, featuredpages, notifications }),
);

/** What works on messages in calls of work.lua. The next one: a file beside these, a .lua of its name, a line above. */
export const scripted: ReadonlyMap<string, BuiltIn | ListCommand> = new Map<string, BuiltIn | ListCommand>([
  ...single,
  ...listCommands,
]);

/** The built-in commands' names on the wire. `activity` reads, and this process does the rest (activity.ts). */
export const builtIn: ReadonlySet<string> = new Set([...scripted.keys(), 'activity']);

/** The one script that works on messages: the filter's Lua, every command's, and work.lua. */
export function workScript({ bloom }: Pick<Intelligence, 'bloom'>): Script<(number | string)[]> {
  const lua = (file: string) => loadScript(`lib/scripts/${file}.lua`);
  const keysOf = Array.from(scripted, ([name, { keys }]) => `['${name}']=${keys.length}`);
  const parts = [lua('lists'), lua('activity-ring'), ...Array.from(scripted.keys(), lua)];
  return new Script(
    [
      lua('push-answers'),
      lua('prelude'),
      bloom.lua,
      ...parts,
      `local keys_of = {${keysOf.join(',')}}`,
      lua('work'),
    ].join('\n'),
  );
}
