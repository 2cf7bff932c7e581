import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { activity } from './activity.js';
import { combo } from './combo.js';
import type { BuiltIn, Intelligence } from './command.js';
import { featuredpages } from './featuredpages.js';
import { markNotificationSeen } from './mark-notification-seen.js';
import { notifications } from './notifications.js';
import { pageview } from './pageview.js';

/** The built-in commands by their names on the wire. The next one: a file beside these, a .lua of its name, a line here. */
export const builtIn: ReadonlyMap<string, BuiltIn> = new Map(
  Object.entries({
    pageview,
    combo,
    featuredpages,
    notifications,
    'mark-notification-seen': markNotificationSeen,
    activity,
  }),
);

/** The one script that works on messages: the filter's Lua, every command's, and work.lua. */
export function workScript({ bloom }: Pick<Intelligence, 'bloom'>): Script<(number | string)[]> {
  const lua = (file: string) => loadScript(`../../scripts/${file}.lua`, import.meta.url);
  const keysOf = Array.from(builtIn, ([name, { keys }]) => `['${name}']=${keys.length}`);
  const parts = [lua('activity-ring'), ...Array.from(builtIn.keys(), lua)];
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
