import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { CommandContext, CommandDescriptor } from './command/descriptor.js';
import { OWN_KEYS_LUA } from './own-key-script.js';
import { descriptors, keptKeys, keysOf, luaFiles } from './commands.js';
import { pageview } from './commands/pageview/index.js';

/** For each message its answer, or its outcome with details; behind all of them come notes on the call (loop.lua). */
export type ScriptReply = (string | [outcome: string, ...rest: (string | number)[]])[];

const part = (name: string) => loadScript(`lib/intelligence/script/${name}.lua`);
const luaList = (names: readonly string[]) => `{${names.map((name) => `'${name}'`).join(',')}}`;
/** The fields of a Lua table: each name, and its place in the list from 0 on. */
const luaPlaces = (names: readonly string[]) => names.map((name, i) => `['${name}']=${i}`).join(',');

type ScriptContext = Pick<CommandContext, 'bloom' | 'activityDays'>;

/** The Lua of an ending that returns the answers to the caller. */
export const TO_CALLER = part('to-caller');

/** The one script that carries out messages: the Bloom filter's Lua, every command's, an ending, and the loop over the messages. */
export function commandScript({ bloom, activityDays }: ScriptContext, ending: string): Script<ScriptReply> {
  const scripted = descriptors.filter((command) => !('read' in command) && !('from' in command));
  // Each call of the script runs all of its lines, so what not all calls need is in functions. Nearly all have a page view.
  const others = scripted.filter((command) => command !== pageview);
  const linesOf = (command: CommandDescriptor): string[] => [
    `key_places['${command.name}']={${luaPlaces(keysOf(command))}}`,
    ...luaFiles(command).map(loadScript),
  ];
  return new Script(
    [
      part('prelude'),
      bloom.lua,
      part('bloom-faults'),
      part('lists'),
      `local KEPT, ACTIVITY_DAYS = ${luaList(keptKeys)}, ${activityDays}`,
      loadScript(OWN_KEYS_LUA),
      'local key_places, load_command = {}, {}',
      ...linesOf(pageview),
      ...others.flatMap((command) => [`load_command['${command.name}'] = function()`, ...linesOf(command), 'end']),
      ending,
      part('loop'),
    ].join('\n'),
  );
}

/**
 * A script of these files, without the loop over messages. It has the same functions: of the prelude, the Bloom filter and the
 * ring of days. NAMES is the list of its keys' names.
 */
export function standaloneScript<Reply>(
  { bloom, activityDays }: ScriptContext,
  names: readonly string[],
  files: readonly string[],
): Script<Reply> {
  return new Script(
    [
      part('prelude'),
      bloom.lua,
      `local KEPT, NAMES, ACTIVITY_DAYS = ${luaList(keptKeys)}, ${luaList(names)}, ${activityDays}`,
      loadScript('lib/intelligence/commands/pageview/activity-ring.lua'),
      ...files.map(loadScript),
    ].join('\n'),
  );
}
