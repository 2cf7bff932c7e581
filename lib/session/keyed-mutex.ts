/** Mutual exclusion by key within this process: work of the same key runs in the order in which it was asked for. */
export class KeyedMutex {
  /** By key, its latest work. */
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work of the key has ended, with success or not. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const result = this.after(key, work);
    this.#tails.set(key, result);
    const release = () => {
      if (this.#tails.get(key) === result) this.#tails.delete(key);
    };
    result.then(release, release);
    return result;
  }

  /** Runs `work` after all earlier work of the key, at once where there is none. Later work does not wait for `work`. */
  after<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    return before ? before.then(work, work) : work();
  }
}
