import { randomBytes } from 'node:crypto';

// With option `merge` a session's record names its latest saves. So a request whose save got no answer can tell, whoever saved
// since, whether it was carried out: what it has added must not be added again.

/** How many saves a record names at most. */
const MAX_SAVES = 32;
/** How long a record names a save. */
const KEPT_MS = 60_000;
/** A save of this age or less is surely named still, where the clocks of two processes differ by 10 s at most. */
const SURE_MS = 50_000;

/** An id has 9 characters of time, ms since 1970 in base 36, and 4 characters of base64url for its 3 random bytes. */
const [TIME_LENGTH, RANDOM_BYTES] = [9, 3];
const ID = `[0-9a-z]{${TIME_LENGTH}}[\\w-]{4}`;
const LIST = new RegExp(`^${ID}( ${ID}){0,${MAX_SAVES - 1}}$`);

/** A record's saves, the latest last; undefined where it names none. */
type SaveIds = string | undefined;

export const isSaveIds = (value: unknown): boolean => typeof value === 'string' && LIST.test(value);

export const newSaveId = (): string =>
  Date.now().toString(36).padStart(TIME_LENGTH, '0') + randomBytes(RANDOM_BYTES).toString('base64url');

const split = (ids: SaveIds): string[] => (ids === undefined ? [] : ids.split(' '));
const timeOf = (id: string): number => Number.parseInt(id.slice(0, TIME_LENGTH), 36);

/** The saves of a record with one more. What is too old, or too many, is forgotten. */
export function withSaveId(ids: SaveIds, id: string): string {
  const oldest = Date.now() - KEPT_MS;
  return [...split(ids).filter((one) => timeOf(one) >= oldest), id].slice(-MAX_SAVES).join(' ');
}

export function hasSaveId(ids: SaveIds, wanted: readonly string[]): boolean {
  const named = split(ids);
  return wanted.some((id) => named.includes(id));
}

/** May a record that names `ids` have forgotten a save that was sent `ageMs` ago, when the record named `before`? */
export function mayHaveForgotten(ids: SaveIds, before: SaveIds, ageMs: number): boolean {
  if (ids === before) return false; // nobody has saved since
  if (ageMs > SURE_MS) return true;
  // true where the list is full and has lost what was older than that save
  const named = split(ids);
  const last = split(before).at(-1);
  return named.length >= MAX_SAVES && (last === undefined || !named.includes(last));
}
