/** What the schemas of the options say, as docs/options.md and the comments of the options' types show it. */
import { commandLineSchema as workerFlags } from '../../lib/worker/cli.js';
import { optionsSchema as bloom } from '../../lib/bloom/bloom-options.js';
import { schema as acl } from '../../lib/acl/cli.js';
import { flagOf, withoutLinks } from '../../lib/options/flags.js';
import { factsOf, valueOf, type Walkable, written } from '../../lib/options/option-facts.js';
import { schema as notifications } from '../../lib/notifications/options.js';
import { schema as store } from '../../lib/session/options.js';
import { schema as worker } from '../../lib/worker/options.js';
import { schema as middleware } from '../../middleware/options.js';
import { markdown } from './results.js';

export const schemas = { middleware, store, worker, workerFlags, bloom, acl, notifications } as unknown as Readonly<
  Record<'middleware' | 'store' | 'worker' | 'workerFlags' | 'bloom' | 'acl' | 'notifications', Walkable>
>;

/** The interfaces whose comments are the schemas', with the files in which they stand. */
export const interfaces = [
  { file: 'middleware/intelligent-session-options.ts', name: 'IntelligentSessionOptions', schema: schemas.middleware },
  { file: 'lib/session/options.ts', name: 'RedisSessionStoreOptions', schema: schemas.store },
  { file: 'lib/worker/options.ts', name: 'WorkerOptions', schema: schemas.worker },
  { file: 'lib/notifications/options.ts', name: 'NotificationsOptions', schema: schemas.notifications },
] as const;

/** Options with their paths: those of an option that is an object, or a list of objects, follow it. */
export function optionsOf({ entries = {} }: Walkable, path = ''): [path: string, option: Walkable][] {
  return Object.entries(entries).flatMap(([name, option]) => {
    if (factsOf(option).text === undefined) return []; // another package's
    const value = valueOf(option);
    const [inner, end] = value.item ? [valueOf(value.item), '[].'] : [value, '.'];
    return [[path + name, option], ...optionsOf(inner, `${path}${name}${end}`)] as [string, Walkable][];
  });
}

/** The default as it is written in code, or in words; undefined where there is none. */
function defaultOf(option: Walkable): string | undefined {
  const { defaultText } = factsOf(option);
  const value = option.default;
  if (defaultText !== undefined || value === undefined) return defaultText;
  return `\`${typeof value === 'string' ? `'${value}'` : JSON.stringify(value)}\``;
}

function sentencesOf(option: Walkable): string {
  const { text, more, needs = {} } = factsOf(option);
  const modes = Object.entries(needs).map(([name, value]) => `\`${written(name, value)}\``);
  return [text, more, modes.length > 0 ? `Needs ${modes.join(' and ')}.` : undefined].filter(Boolean).join(' ');
}

type Cell = (path: string, option: Walkable) => string;
const nameCell: Cell = (path) => `\`${path}\``;
const flagCell: Cell = (path, option) => (factsOf(option).flag === undefined ? '' : `\`${flagOf(path)}\``);
const unitCell: Cell = (_, option) => factsOf(option).unit ?? '';
const defaultCell: Cell = (_, option) => defaultOf(option) ?? 'none';
const textCell: Cell = (_, option) => sentencesOf(option);
const flagTextCell: Cell = (_, option) => [sentencesOf(option), factsOf(option).flagText].filter(Boolean).join(' ');
const sentenceCell: Cell = (_, option) => factsOf(option).text;

function table(schema: Walkable, columns: Readonly<Record<string, Cell>>): string {
  const rows = optionsOf(schema).map(([path, option]) => Object.values(columns).map((cell) => cell(path, option)));
  return markdown(Object.keys(columns), rows);
}

const facts = { unit: unitCell, default: defaultCell, 'what it is': textCell };

/** docs/options.md's, by their names there. */
export const optionTables = (): Readonly<Record<string, string>> => ({
  'options-middleware': table(schemas.middleware, { option: nameCell, ...facts }),
  'options-store': table(schemas.store, { option: nameCell, ...facts }),
  'options-worker': table(schemas.worker, { option: nameCell, flag: flagCell, ...facts, 'what it is': flagTextCell }),
  'options-worker-flags': table(schemas.workerFlags, {
    flag: flagCell,
    default: defaultCell,
    'what it is': sentenceCell,
  }),
  'options-notifications': table(schemas.notifications, { option: nameCell, ...facts }),
  'options-bloom': table(schemas.bloom, { option: nameCell, ...facts }),
  'options-acl': table(schemas.acl, { flag: flagCell, default: defaultCell, 'what it is': sentenceCell }),
});

const WIDTH = 120;

/** A source file with the comments of an interface's members written anew. */
export function fillComments(source: string, name: string, schema: Walkable): string {
  return source.replace(new RegExp(`(?<=^export interface ${name} \\{\\n)[^]*?(?=^\\}$)`, 'm'), (members) =>
    members.replace(/(?:^ {2}\/\*\*(?:(?!\*\/)[^])*\*\/\n)?^ {2}readonly (\w+)\?:/gm, (found, option: string) => {
      const entry = schema.entries?.[option];
      if (!entry) throw new Error(`${name}.${option} is no option`);
      return `${commentOf(entry)}\n${found.slice(found.lastIndexOf('\n') + 1)}`;
    }),
  );
}

function commentOf(option: Walkable): string {
  const { unit } = factsOf(option);
  const text = [withoutLinks(sentencesOf(option)), unit && `Unit: ${unit}.`].filter(Boolean).join(' ');
  const byDefault = `@default ${defaultOf(option)?.replaceAll('`', '') ?? 'none'}`;
  const line = `  /** ${text} ${byDefault} */`;
  if (line.length <= WIDTH) return line;
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string;
    if (`   * ${last} ${word}`.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return ['  /**', ...[...lines, byDefault].map((one) => `   * ${one}`), '   */'].join('\n');
}
