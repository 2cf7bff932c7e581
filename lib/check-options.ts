import * as v from 'valibot';
import { OptionError } from './errors.js';

/** Checks options against a strict schema; the first finding becomes an OptionError that names the option. */
export function checkOptions<S extends v.GenericSchema>(schema: S, options: unknown, of: string): v.InferOutput<S> {
  const result = v.safeParse(schema, options ?? {}, { abortEarly: true });
  if (result.success) return Object.freeze(result.output as object) as v.InferOutput<S>;
  const issue = result.issues[0];
  // of an option that there is not, the name is whatever was given
  const path = (v.getDotPath(issue) ?? '').slice(0, 80).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  if (issue.type === 'strict_object' && issue.expected === 'never')
    throw new OptionError(`${of}: there is no option "${path}"`);
  const expected = issue.type === 'custom' || issue.type === 'regex' ? issue.message : issue.expected;
  // never a text as it is: it may be a secret
  const received = /^["'`]/.test(issue.received) ? 'text' : issue.received;
  throw new OptionError(`${of}: option "${path}" should be ${expected}, got ${received}`);
}

/** A whole number from `min` to `max`. */
export const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    `a whole number from ${min} to ${max}`,
  );

export const func = <F>() => v.custom<F>((value) => typeof value === 'function', 'a function');

/** Stands before every channel and key: no glob, no hash tag, nothing that a terminal would act on. */
export const namespace = v.pipe(v.string(), v.regex(/^[\w.:-]{0,64}$/, 'at most 64 of A-Z a-z 0-9 _ . : -'));

/** How requests travel. */
export const transport = v.picklist(['pubsub', 'stream']);
