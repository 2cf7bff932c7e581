/** How long, in ms, what a login set aside waits to be added to the user's: a worker may end between the two steps. */
export const ASIDE_MS = 86_400_000;
