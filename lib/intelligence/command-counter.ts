import type { Count, Counter, Metrics } from '../metrics/metrics.js';
import { builtIn } from './commands.js';

/** A command's name may be what a visitor chose: those after so many are "other". */
const MAX_COMMANDS = 100;

/** A counter by command and result whose children are looked up once: finding one by its labels costs more than counting. */
export class CommandCounter {
  readonly #counter: Counter;
  /** The counts of all commands after the first MAX_COMMANDS, by result. */
  readonly #others = new Map<string, Count>();
  /** The counts by command, then by result. */
  readonly #children = new Map<string, Map<string, Count>>();

  constructor(name: string, help: string, metrics: Metrics) {
    this.#counter = metrics.counter(name, help, ['command', 'result']);
  }

  inc(command: string, result: string, by = 1): void {
    const counts = this.#children.get(command) ?? this.#childrenOf(command);
    let count = counts.get(result);
    if (!count) {
      const isKnown = this.#children.has(command);
      count = this.#counter.of(isKnown ? command : 'other', result);
      counts.set(result, count);
    }
    count.inc(by);
  }

  #childrenOf(command: string): Map<string, Count> {
    if (builtIn.has(command) || this.#children.size < MAX_COMMANDS) {
      const counts = new Map<string, Count>();
      this.#children.set(command, counts);
      return counts;
    }
    return this.#others;
  }
}
