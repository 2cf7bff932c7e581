import * as v from 'valibot';

/** What an option's entry in a schema says of itself beside its check and its default. */
export interface OptionFacts {
  /**
   * One plain sentence, in Markdown with links as in docs/. It stands in docs/options.md, in the comment of the option's type, and in the
   * command line's help.
   */
  readonly text: string;
  /** Further sentences, for the page and the comment. */
  readonly more?: string;
  readonly unit?: 'ms' | 'seconds' | 'bytes' | 'days';
  /** The default in words, where code finds it out. */
  readonly defaultText?: string;
  /** The argument of the option's flag, '' for a flag without one. An option without this fact has no flag. */
  readonly flag?: string;
  /** One more sentence where the option is a flag. */
  readonly flagText?: string;
  /** The variable of the environment that stands for the flag. */
  readonly environment?: string;
  /** What other options have to be, for this one to have an effect. */
  readonly needs?: Readonly<Record<string, unknown>>;
}

/** A schema as it can be walked through at run time. */
export interface Walkable {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Walkable>>;
  readonly wrapped?: Walkable;
  readonly item?: Walkable;
  readonly options?: readonly string[];
  readonly default?: unknown;
}

/** The last step of an option's pipe: what it is. */
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

/** The schema of an option's value, without what says that it may be left out. */
export function valueOf(option: Walkable): Walkable {
  return option.wrapped === undefined ? option : valueOf(option.wrapped);
}

/** `transport: 'stream'`, as it is written in code. */
export const written = (name: string, value: unknown): string =>
  `${name}: ${typeof value === 'string' ? `'${value}'` : String(value)}`;
