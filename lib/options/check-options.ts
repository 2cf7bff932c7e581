import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { factsOf, valueOf, type Walkable, written } from './option-facts.js';

/** The right places of options that people give elsewhere, by name: the end of a sentence that begins with the option. */
export type Elsewhere = Readonly<Record<string, string>>;

/** Checks options against a strict schema; the first fault becomes an OptionError that names the option. Gives them frozen. */
export function checkOptions<S extends v.GenericSchema>(
  schema: S,
  options: unknown,
  caller: string,
  elsewhere: Elsewhere = {},
): v.InferOutput<S> {
  const given = options ?? {};
  if (typeof given !== 'object' || Array.isArray(given))
    throw new OptionError(`${caller}: options should be an object, got ${describeValue(given)}`);
  const result = v.safeParse(schema, given);
  if (!result.success) throw new OptionError(`${caller}: ${describeIssues(result.issues, schema as never, elsewhere)}`);
  checkNeeds(schema as never, given, result.output as object, caller);
  return Object.freeze(result.output as object) as v.InferOutput<S>;
}

/** Refuses options that were given but have no effect, since another option is not as the schema's fact `needs` says. */
function checkNeeds({ entries = {} }: Walkable, given: object, resolved: object, caller: string): void {
  for (const [name, entry] of Object.entries(entries)) {
    if ((given as Record<string, unknown>)[name] === undefined) continue;
    const needs = Object.entries(factsOf(entry).needs ?? {});
    const unmet = needs.find(([other, value]) => (resolved as Record<string, unknown>)[other] !== value);
    if (unmet) throw new OptionError(`${caller}: option "${name}" is without effect: it needs ${written(...unmet)}`);
  }
}

function describeIssues(
  issues: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]],
  schema: Walkable,
  elsewhere: Elsewhere,
): string {
  // An unknown option explains a missing one: who wrote `page` in a combo has left out `pages`.
  const issue = issues.find(isUnknown) ?? issues[0];
  // The name of an unknown option may be of any length.
  const path = (v.getDotPath(issue) ?? '').slice(0, 80);
  if (isUnknown(issue)) return describeUnknown(path, schema, elsewhere);
  if (issue.type === 'strict_object' && issue.path?.at(-1)?.origin === 'key') return `option "${path}" is missing`;
  // A secret is never shown, even if it is a number.
  const isNumber = typeof issue.input === 'number' || typeof issue.input === 'bigint';
  const got = /secret/i.test(path) && isNumber ? 'a number' : describeValue(issue.input);
  return `option "${path}" should be ${expectedBy(issue)}, got ${got}`;
}

const isUnknown = ({ type, expected }: v.BaseIssue<unknown>): boolean =>
  type === 'strict_object' && expected === 'never';

function describeUnknown(path: string, schema: Walkable, elsewhere: Elsewhere): string {
  if (Object.hasOwn(elsewhere, path)) return `option "${path}" ${elsewhere[path]}`;
  const parent = path.includes('.') ? path.slice(0, path.lastIndexOf('.')) : undefined;
  const { entries } = (parent === undefined ? schema : schemaAt(schema, parent)) ?? {};
  const known = entries ? `; ${parent ?? 'the options'} may have ${Object.keys(entries).join(', ')}` : '';
  return `there is no option "${path}"${known}`;
}

/** The schema at a path like `session.cookie` or `combos.0`, where a number stands for any item of a list. */
function schemaAt(schema: Walkable, path: string): Walkable | undefined {
  let found: Walkable | undefined = schema;
  for (const name of path.split('.')) {
    const next: Walkable | undefined = /^\d+$/.test(name) ? found?.item : found?.entries?.[name];
    found = next && valueOf(next);
  }
  return found;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  record: 'an object',
  strict_object: 'an object',
};

/** What the option should be, in words, by what valibot found wrong. */
export function expectedBy(issue: v.BaseIssue<unknown>): string {
  const { type, requirement } = issue as v.BaseIssue<unknown> & { requirement?: unknown };
  if (type === 'custom' || type === 'regex') return issue.message;
  if (type === 'picklist') return (issue.expected ?? '').replace(/^\(|\)$/g, '').replaceAll(' | ', ' or ');
  if (type === 'min_length' && typeof issue.input === 'string')
    return requirement === 1 ? 'a text that is not empty' : `a text of at least ${requirement} characters`;
  if (type === 'min_length') return `a list of at least ${requirement}`;
  return EXPECTED[type] ?? String(issue.expected);
}

/** What a value is, in words. A text is never repeated: it may be a secret. */
export function describeValue(value: unknown): string {
  if (value === '') return 'an empty text';
  if (typeof value === 'string') return 'a text';
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof Promise) return 'a promise (await it first)';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
