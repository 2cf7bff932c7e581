import { type Command, Option } from 'commander';
import * as v from 'valibot';
import { OptionError, safeText } from '../errors/errors.js';
import { expectedBy } from './check-options.js';
import { factsOf, valueOf, type Walkable } from './option-facts.js';

/** Gives a command the flag of each option that has one, with check, choices and help. The schema sets defaults, later. */
export function addFlags(command: Command, schema: object): Command {
  for (const [name, entry] of Object.entries((schema as Walkable).entries ?? {})) {
    const { flag, environment } = factsOf(entry);
    if (flag === undefined) continue;
    const option = new Option(`${flagOf(name)} ${flag}`.trim(), helpOf(entry));
    const value = valueOf(entry);
    const choices = value.options ?? value.item?.options;
    if (choices) option.choices(choices);
    // a flag without argument, a file's name and a list are checked by whoever takes them
    else if (!['', '<file>'].includes(flag) && !flag.includes('...')) option.argParser(parserOf(name, entry));
    if (environment !== undefined) option.env(environment);
    if (entry.type !== 'optional') option.makeOptionMandatory();
    command.addOption(option);
  }
  return command.configureOutput({
    outputError: (text, write) => write(`${safeText(withoutValues(text.trimEnd()))}\n`),
  });
}

/** `--max-queue` of `maxQueue`. */
export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Markdown without its links. */
export const withoutLinks = (text: string): string => text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');

function helpOf(entry: Walkable): string {
  const { text, unit, defaultText } = factsOf(entry);
  const value = entry.default;
  const isLiteral = ['string', 'number'].includes(typeof value) && value !== '';
  const byDefault = defaultText ?? (isLiteral ? String(value) : undefined);
  const facts = [unit, byDefault && `default: ${byDefault}`].filter((fact) => fact !== undefined);
  const sentence = text.replace(/\.$/, '');
  return withoutLinks(facts.length > 0 ? `${sentence} (${facts.join(', ')})` : sentence).replaceAll('`', '');
}

/** Parses a flag: a text where the option takes one, else a number; an error says what the option takes, not what was given. */
const parserOf =
  (name: string, entry: Walkable) =>
  (text: string): unknown => {
    const schema = entry as unknown as v.GenericSchema;
    const result = v.safeParse(schema, text);
    if (result.success) return text;
    if (text.trim() !== '' && v.is(schema, Number(text))) return Number(text);
    throw new OptionError(`${flagOf(name)} should be ${expectedBy(result.issues[0])}`);
  };

/** An error text of commander without the values from the command line: a value in a wrong place may be a secret. */
const withoutValues = (text: string): string =>
  text
    .replace(/(unknown option '-[^'=]*)=[^\n]*'/, "$1'")
    .replace(/argument '[^\n]*' is invalid/, 'argument is invalid');
