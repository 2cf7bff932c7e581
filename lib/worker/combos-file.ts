import * as v from 'valibot';
import { OptionError } from '../errors.js';
import type { NamedCombo } from './options.js';

const schema = v.array(v.strictObject({ name: v.string(), pages: v.array(v.string()) }));

/** What stands in the file of `--combos`. It may be another file by mistake, so an error says what is expected and nothing of it. */
export function parseCombos(text: string, file: string): readonly NamedCombo[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OptionError(`--combos: ${file} is not JSON`);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return value as readonly NamedCombo[];
  throw new OptionError(`--combos: ${file} should have [{ "name": "…", "pages": ["…"] }]`);
}
