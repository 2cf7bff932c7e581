/** Work that stands in line by a name, in this process: each begins when the one before has ended, however it did. */
export class Lines {
  readonly #tails = new Map<string, Promise<unknown>>();

  join<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    const run = before ? before.then(act, act) : act();
    this.#tails.set(name, run);
    const leave = () => {
      if (this.#tails.get(name) === run) this.#tails.delete(name);
    };
    run.then(leave, leave);
    return run;
  }

  /** After what stands in line now; at once where nothing does. */
  after<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    return before ? before.then(act, act) : act();
  }
}
