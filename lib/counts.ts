import type { Count, Counter, Metrics } from './metrics.js';
import { builtIn } from './intelligence/commands.js';

/** A command's name may be what a visitor chose: those after so many are "other". */
const MOST_COMMANDS = 100;

/** A counter by command and result whose children are looked up once: finding one by its labels costs more than counting. */
export class CommandCounts {
  readonly #counter: Counter;
  readonly #children = new Map<string, Count>();
  readonly #commands = new Set<string>();

  constructor(name: string, help: string, metrics: Metrics) {
    this.#counter = metrics.counter(name, help, ['command', 'result']);
  }

  inc(command: string, result: string, by = 1): void {
    const known = builtIn.has(command) || this.#commands.has(command) || this.#commands.size < MOST_COMMANDS;
    if (known) this.#commands.add(command);
    const name = known ? command : 'other';
    const key = `${name}:${result}`;
    let child = this.#children.get(key);
    if (!child) {
      child = this.#counter.of(name, result);
      this.#children.set(key, child);
    }
    child.inc(by);
  }
}
