/** What was set aside at a login waits so long for whoever carries it on: a worker may end between the two steps. */
export const ASIDE_MS = 86_400_000;
