/**
 * For how many ms (a day) the data that a login has set aside wait to be added to the user's: a worker may end between these
 * two steps.
 */
export const ASIDE_MS = 86_400_000;
