import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { builtIn, keptKeys, temporaryKeys } from '../intelligence/commands.js';
import type { Command, CommandWithKeys, DeclaredKeys, ResolvedCommand } from '../intelligence/own-command.js';
import { MAX_OWN_KEYS, MERGES, OWN_KEY_NAME, type OwnKeyMerge } from '../intelligence/declared-keys.js';
import { describeValue } from '../options/check-options.js';
import { checkCommand } from '../transport/protocol.js';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A command in the option `commands`. */
export const commandSchema = v.custom<Command | CommandWithKeys>(
  (value) => typeof value === 'function' || (isObject(value) && typeof value.run === 'function'),
  'a function, or an object with keys and run()',
);

/** Names of the keys that this package itself keeps of a subject: no command can declare them. */
const TAKEN: ReadonlySet<string> = new Set([...keptKeys, ...temporaryKeys, 'own', 'gone']);

/**
 * The option `commands` as a map. Throws an OptionError for a name that no message can carry, or that a built-in command has,
 * and for keys that are declared wrongly, or by two commands in different ways.
 */
export function resolveCommands(
  commands: Readonly<Record<string, Command | CommandWithKeys>>,
  caller: string,
): ReadonlyMap<string, ResolvedCommand> {
  const mergeByKey = new Map<string, OwnKeyMerge>();
  const resolved = Object.entries(commands).map(([name, command]): [string, ResolvedCommand] => {
    checkCommand(name);
    if (builtIn.has(name)) throw new OptionError(`${caller}: the command "${name}" is built in`);
    if (typeof command === 'function') return [name, { run: command, declared: undefined }];
    const declared = declaredKeys(command, `${caller}: option "commands.${name}`, mergeByKey);
    return [name, { run: (request) => command.run(request), declared }];
  });
  if (mergeByKey.size > MAX_OWN_KEYS)
    throw new OptionError(`${caller}: option "commands" declares ${mergeByKey.size} keys, ${MAX_OWN_KEYS} at most`);
  return new Map(resolved);
}

/**
 * Checks the keys that a command declares, and adds them to those of the commands before it, in `mergeByKey`. `option` and
 * `path` begin an error's text: they open a quotation mark, which the message closes.
 */
function declaredKeys(
  command: CommandWithKeys,
  option: string,
  mergeByKey: Map<string, OwnKeyMerge>,
): DeclaredKeys | undefined {
  const { keys, run: _, ...others }: Record<string, unknown> = { ...command };
  const [unknownField] = Object.keys(others);
  if (unknownField !== undefined)
    throw new OptionError(`${option}.${unknownField.slice(0, 80)}" is none: a command has keys and run()`);
  if (!isObject(keys)) throw new OptionError(`${option}.keys" should be an object, got ${describeValue(keys)}`);
  for (const [name, key] of Object.entries(keys)) {
    const path = `${option}.keys.${name.slice(0, 80)}`;
    if (!OWN_KEY_NAME.test(name)) throw new OptionError(`${path}": a key's name is 1 to 64 of a-z 0-9 -`);
    if (TAKEN.has(name)) throw new OptionError(`${path}": a built-in key has this name`);
    const merge = mergeOf(key, path);
    const earlier = mergeByKey.get(name) ?? merge;
    if (earlier !== merge)
      throw new OptionError(
        `${path}.merge" is "${merge}", and another command declares the same key with "${earlier}"`,
      );
    mergeByKey.set(name, merge);
  }
  const names = Object.keys(keys);
  return names.length === 0 ? undefined : { names, merges: names.map((name) => mergeByKey.get(name) as OwnKeyMerge) };
}

function mergeOf(key: unknown, path: string): OwnKeyMerge {
  const { merge, ...others } = isObject(key) ? key : {};
  const found = MERGES.find((one) => one === merge);
  if (!isObject(key)) throw new OptionError(`${path}" should be an object with merge, got ${describeValue(key)}`);
  const [unknownField] = Object.keys(others);
  if (unknownField !== undefined)
    throw new OptionError(`${path}.${unknownField.slice(0, 80)}" is none: a key has merge alone`);
  if (found) return found;
  const choices = MERGES.map((one) => `"${one}"`).join(' or ');
  throw new OptionError(`${path}.merge" should be ${choices}, got ${describeValue(merge)}`);
}
