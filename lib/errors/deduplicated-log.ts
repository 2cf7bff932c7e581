const EVERY_MS = 1_000;
/** Texts told apart within a second; what comes over it counts as one. */
const MOST_TEXTS = 100;
const OTHERS = 'other faults';

/** Says each text at most once a second: who sends a thousand bad messages fills no log. What was held back is counted. */
export class RepeatedLines {
  /** how often a text came since it was said */
  readonly #held = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly say: (text: string, times: number) => void) {}

  add(text: string): void {
    const key = this.#held.has(text) || this.#held.size < MOST_TEXTS ? text : OTHERS;
    const held = this.#held.get(key);
    this.#held.set(key, held === undefined ? 0 : held + 1);
    if (held === undefined) this.say(key, 1);
    this.#timer ??= setTimeout(() => this.#tell(), EVERY_MS).unref();
  }

  /** What was held back is said now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = [...this.#held];
    this.#held.clear();
    for (const [text, times] of held) if (times > 0) this.say(text, times);
  }

  #tell(): void {
    const repeated = [...this.#held].filter(([, times]) => times > 0).map(([text]) => text);
    this.flush();
    // what was said just now is not said again for another second
    for (const text of repeated) this.#held.set(text, 0);
    if (repeated.length > 0) this.#timer = setTimeout(() => this.#tell(), EVERY_MS).unref();
  }
}
