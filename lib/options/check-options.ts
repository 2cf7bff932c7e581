import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';

/** Options that people look for in another place than the one where they stand: where that is, in a sentence's end. */
export type Elsewhere = Readonly<Record<string, string>>;

/** Checks options against a strict schema; the first finding becomes an OptionError that names the option. */
export function checkOptions<S extends v.GenericSchema>(
  schema: S,
  options: unknown,
  of: string,
  elsewhere: Elsewhere = {},
): v.InferOutput<S> {
  const given = options ?? {};
  if (typeof given !== 'object' || Array.isArray(given))
    throw new OptionError(`${of}: options should be an object, got ${kindOf(given)}`);
  const result = v.safeParse(schema, given);
  if (result.success) return Object.freeze(result.output as object) as v.InferOutput<S>;
  // what is not known says more than what is missing: a combo with `page` has no `pages`
  const issue = result.issues.find(isUnknown) ?? result.issues[0];
  // of an option that there is not, the name is whatever was given
  const path = (v.getDotPath(issue) ?? '').slice(0, 80);
  if (isUnknown(issue)) throw new OptionError(`${of}: ${unknown(path, schema, elsewhere)}`);
  if (issue.type === 'strict_object' && issue.path?.at(-1)?.origin === 'key')
    throw new OptionError(`${of}: option "${path}" is missing`);
  // a secret is never shown, though it be a number
  const got = /secret/i.test(path) && typeof issue.input === 'number' ? 'a number' : kindOf(issue.input);
  throw new OptionError(`${of}: option "${path}" should be ${expectedOf(issue)}, got ${got}`);
}

const isUnknown = ({ type, expected }: v.BaseIssue<unknown>): boolean =>
  type === 'strict_object' && expected === 'never';

function unknown(path: string, schema: v.GenericSchema, elsewhere: Elsewhere): string {
  if (Object.hasOwn(elsewhere, path)) return `option "${path}" ${elsewhere[path]}`;
  const none = `there is no option "${path}"`;
  const above = path.includes('.') ? path.slice(0, path.lastIndexOf('.')) : undefined;
  const { entries } = (above === undefined ? schema : innerOf(schema, above)) as { entries?: object };
  return entries ? `${none}; ${above ?? 'the options'} may have ${Object.keys(entries).join(', ')}` : none;
}

/** The schema of an option that is an object itself, or a list of such. */
function innerOf(schema: unknown, path: string): unknown {
  let at = schema as { entries?: Record<string, unknown>; wrapped?: unknown; item?: unknown } | undefined;
  for (const name of path.split('.')) {
    at = unwrapped(/^\d+$/.test(name) ? at?.item : at?.entries?.[name]);
    if (!at) return {};
  }
  return at;
}

const unwrapped = (schema: unknown): { wrapped?: unknown } | undefined => {
  const { wrapped } = (schema ?? {}) as { wrapped?: unknown };
  return wrapped === undefined ? (schema as object | undefined) : unwrapped(wrapped);
};

const WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  record: 'an object',
  strict_object: 'an object',
};

function expectedOf(issue: v.BaseIssue<unknown>): string {
  const { type, requirement } = issue as v.BaseIssue<unknown> & { requirement?: unknown };
  if (type === 'custom' || type === 'regex') return issue.message;
  if (type === 'picklist') return (issue.expected ?? '').replace(/^\(|\)$/g, '').replaceAll(' | ', ' or ');
  if (type === 'min_length' && typeof issue.input === 'string')
    return requirement === 1 ? 'a text that is not empty' : `a text of at least ${requirement} characters`;
  if (type === 'min_length') return `a list of at least ${requirement}`;
  return WORDS[type] ?? String(issue.expected);
}

/** What something is, in words: never a text as it stands, which may be a secret. */
export function kindOf(value: unknown): string {
  if (value === '') return 'an empty text';
  if (typeof value === 'string') return 'a text';
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof Promise) return 'a promise (await it first)';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** Refuses options that would be without effect, since they belong to a mode that was not chosen. */
export function refuseWithout(
  of: string,
  given: object | undefined,
  isChosen: boolean,
  mode: string,
  names: readonly string[],
): void {
  if (isChosen) return;
  const idle = names.find((name) => (given as Record<string, unknown> | undefined)?.[name] !== undefined);
  if (idle !== undefined) throw new OptionError(`${of}: option "${idle}" is without effect: it needs ${mode}`);
}

/** A whole number from `min` to `max`. */
export const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    `a whole number ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}`,
  );

export const func = <F>() => v.custom<F>((value) => typeof value === 'function', 'a function');

/** Stands before every channel and key: no glob, no hash tag, nothing that a terminal would act on. */
export const namespace = v.pipe(v.string(), v.regex(/^[\w.:-]{0,64}$/, 'at most 64 of A-Z a-z 0-9 _ . : -'));

/** How requests travel. */
export const transport = v.picklist(['pubsub', 'stream']);
