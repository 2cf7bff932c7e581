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

/** A list that nobody changes: valibot's own type is an array that can be changed. */
export const list = <S extends v.GenericSchema>(item: S, least = 0) =>
  v.pipe(v.array(item), v.minLength(least)) as unknown as v.GenericSchema<
    readonly v.InferInput<S>[],
    readonly v.InferOutput<S>[]
  >;

/** Stands before every channel and key: it has no glob, no hash tag, and nothing that a terminal would act on. */
export const namespace = v.pipe(v.string(), v.regex(/^[\w.:-]{0,64}$/, 'at most 64 of A-Z a-z 0-9 _ . : -'));

/** Which sessions a worker works for: a glob on the encoded id, in which a colon never stands. */
export const sessionGlob = v.pipe(v.string(), v.regex(/^[^:\s()"']{1,256}$/, 'a glob of 1 to 256 characters, no ":"'));

/** How requests travel. */
export const transport = v.picklist(['pubsub', 'stream']);

/** How answers come. */
export const replies = v.picklist(['inbox', 'list']);

/** Which implementation of Bloom filters is used. */
export const bloom = v.picklist(['auto', 'module', 'fallback']);

export const itemSecret = v.pipe(v.string(), v.minLength(16));

/** One secret, or several, each of which stands there once. The first one writes. */
export const itemSecrets = v.custom<string | readonly string[]>((value) => {
  const secrets: unknown[] = Array.isArray(value) ? value : [value];
  return (
    secrets.length > 0 && new Set(secrets).size === secrets.length && secrets.every((one) => v.is(itemSecret, one))
  );
}, 'a text of at least 16 characters, or a list of such texts, one at least and none twice');
