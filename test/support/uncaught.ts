/** The exceptions that nobody catches, from now on: mocha's own listeners, which fail the test for them, hear of none until close(). */
export class Uncaught {
  readonly errors: Error[] = [];
  readonly #listeners = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
  readonly #note = (error: Error) => void this.errors.push(error);

  constructor() {
    process.removeAllListeners('uncaughtException').on('uncaughtException', this.#note);
  }

  close(): void {
    process.off('uncaughtException', this.#note);
    for (const listener of this.#listeners) process.on('uncaughtException', listener);
  }
}
