/** For this long after a text was logged, the same text is only counted. */
const INTERVAL_MS = 1_000;
/** How many texts are told apart within an interval; all further ones count as one. */
const MAX_TEXTS = 100;
/** Logged in place of the further texts. */
const OTHERS = 'other faults';

/** Logs each text at most once a second and counts its repetitions, so that a thousand bad messages fill no log. */
export class DeduplicatedLog {
  /** How often each text has come since it was logged last. */
  readonly #repetitions = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly log: (text: string, times: number) => void) {}

  add(text: string): void {
    const key = this.#repetitions.has(text) || this.#repetitions.size < MAX_TEXTS ? text : OTHERS;
    const times = this.#repetitions.get(key);
    this.#repetitions.set(key, times === undefined ? 0 : times + 1);
    if (times === undefined) this.log(key, 1);
    this.#timer ??= setTimeout(() => this.#endInterval(), INTERVAL_MS).unref();
  }

  /** Logs each text that was repeated, with how often, and forgets all. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const texts = [...this.#repetitions];
    this.#repetitions.clear();
    for (const [text, times] of texts) if (times > 0) this.log(text, times);
  }

  #endInterval(): void {
    const repeated = [...this.#repetitions].filter(([, times]) => times > 0).map(([text]) => text);
    this.flush();
    // a text that has just been logged is not logged again for another interval
    for (const text of repeated) this.#repetitions.set(text, 0);
    if (repeated.length > 0) this.#timer = setTimeout(() => this.#endInterval(), INTERVAL_MS).unref();
  }
}
