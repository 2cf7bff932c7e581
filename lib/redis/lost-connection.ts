/** Was the connection lost before ioredis wrote the command? Then any command can be sent again. */
export const wasNotSent = (error: unknown): boolean => error instanceof Error && /isn't writeable/.test(error.message);

/** Was the connection lost before the answer came? The command may have been executed, so only a read can be sent again. */
export const wasLost = (error: unknown): boolean =>
  wasNotSent(error) ||
  (error instanceof Error &&
    (error.name === 'MaxRetriesPerRequestError' || /^Connection is closed/.test(error.message)));
