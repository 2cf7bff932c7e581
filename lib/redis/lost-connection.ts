/** The connection was lost before ioredis wrote the command: it can be sent again whatever it does. */
export const wasNotSent = (error: unknown): boolean => error instanceof Error && /isn't writeable/.test(error.message);

/** The connection was lost before the answer came: the command may have been executed, and only a read can be sent again. */
export const wasLost = (error: unknown): boolean =>
  wasNotSent(error) ||
  (error instanceof Error &&
    (error.name === 'MaxRetriesPerRequestError' || /^Connection is closed/.test(error.message)));
