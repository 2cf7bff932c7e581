/** The warnings of this process (process.emitWarning) from now on. */
export class Warnings {
  readonly #all: (Error & { code?: string })[] = [];
  readonly #listen = (warning: Error) => void this.#all.push(warning);

  constructor() {
    process.on('warning', this.#listen);
  }

  /** The texts under a code, without INTELLIGENT_SESSION_ at its start. */
  of(code: string): string[] {
    return this.#all.filter((one) => one.code === `INTELLIGENT_SESSION_${code}`).map(({ message }) => message);
  }

  /** All codes of this package, in order. */
  get codes(): string[] {
    return this.#all.flatMap(({ code }) => (code?.includes('INTELLIGENT_SESSION_') ? [code] : []));
  }

  close(): void {
    process.off('warning', this.#listen);
  }
}
