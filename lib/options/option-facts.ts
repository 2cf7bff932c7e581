import * as v from 'valibot';

/** What an option's entry in a schema says of the option beside the check and the default. */
export interface OptionFacts {
  /**
   * One plain sentence, in Markdown with links as in docs/. It stands in docs/options.md, in the comment of the option's type,
   * and in the command line's help.
   */
  readonly text: string;
  /** Further sentences, for the page and the comment. */
  readonly more?: string;
  readonly unit?: 'ms' | 'seconds' | 'bytes' | 'days';
  /** The default in words, where code and not the schema sets it. */
  readonly defaultText?: string;
  /** The argument of the option's flag, '' for a flag without one. An option without this fact has no flag. */
  readonly flag?: string;
  /** One more sentence about the flag, for the page. */
  readonly flagText?: string;
  /** The environment variable that is used where the flag is not given. */
  readonly environment?: string;
  /** The values that other options must have, so that this option has an effect. */
  readonly needs?: Readonly<Record<string, unknown>>;
}

/** The parts of a valibot schema that code walks through: an object's entries, a list's item, what `optional` wraps. */
export interface Walkable {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Walkable>>;
  readonly wrapped?: Walkable;
  readonly item?: Walkable;
  readonly options?: readonly string[];
  readonly default?: unknown;
}

/** The facts of an option, as the last step of its pipe. */
export const about = <T>(text: string, facts: Omit<OptionFacts, 'text'> = {}): v.MetadataAction<T, { text: string }> =>
  v.metadata({ text, ...facts });

export const factsOf = (option: unknown): OptionFacts => v.getMetadata(option as v.GenericSchema) as never;

/** The same options, for a place where they have an effect only if other options are as `needs` says. */
export function withNeeds<E extends Readonly<Record<string, v.GenericSchema>>>(
  entries: E,
  needs: OptionFacts['needs'],
): E {
  const needing = Object.entries(entries).map(([name, entry]) => [name, v.pipe(entry, v.metadata({ needs }))]);
  return Object.fromEntries(needing) as E;
}

/** The schema of an option's value, without the `optional` around it. */
export function valueOf(option: Walkable): Walkable {
  return option.wrapped === undefined ? option : valueOf(option.wrapped);
}

/** An option as it is written in code: `transport: 'stream'`. */
export const written = (name: string, value: unknown): string =>
  `${name}: ${typeof value === 'string' ? `'${value}'` : String(value)}`;
