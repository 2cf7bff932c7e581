import * as v from 'valibot';

/** An integer from `min` to `max`. */
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    `a whole number ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}`,
  );

export const functionOf = <F>() => v.custom<F>((value) => typeof value === 'function', 'a function');

/** An object with these methods. */
export const objectWith = <T>(...methods: readonly (keyof T & string)[]) =>
  v.custom<T>(
    (value) => methods.every((method) => typeof (value as T | null)?.[method] === 'function'),
    `an object with ${methods.map((method) => `${method}()`).join(' and ')}`,
  );

/** A list of `minLength` items or more, typed as readonly: valibot's own type is an array that can be changed. */
export const list = <S extends v.GenericSchema>(item: S, minLength = 0) =>
  v.pipe(v.array(item), v.minLength(minLength)) as unknown as v.GenericSchema<
    readonly v.InferInput<S>[],
    readonly v.InferOutput<S>[]
  >;

/** Begins every channel and key, so it has no character of a glob or hash tag, and none that a terminal would act on. */
export const namespace = v.pipe(v.string(), v.regex(/^[\w.:-]{0,64}$/, 'at most 64 of A-Z a-z 0-9 _ . : -'));

/** Which sessions a worker works for: a glob for encoded ids, which have no colon. */
export const sessionGlob = v.pipe(v.string(), v.regex(/^[^:\s()"']{1,256}$/, 'a glob of 1 to 256 characters, no ":"'));

/** How requests travel. */
export const transport = v.picklist(['pubsub', 'stream']);

/** Where answers come: to a process' inbox, or to a list for each request. */
export const replies = v.picklist(['inbox', 'list']);

/** Which implementation of Bloom filters is used. */
export const bloom = v.picklist(['auto', 'module', 'fallback']);

export const itemSecret = v.pipe(v.string(), v.minLength(16));

/** One secret, or a list of different ones: the first is in use, and the others were in use before. */
export const itemSecrets = v.custom<string | readonly string[]>((value) => {
  const secrets: unknown[] = Array.isArray(value) ? value : [value];
  return (
    secrets.length > 0 && new Set(secrets).size === secrets.length && secrets.every((one) => v.is(itemSecret, one))
  );
}, 'a text of at least 16 characters, or a list of such texts, one at least and none twice');
