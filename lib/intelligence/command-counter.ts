import type { Count, Counter, Metrics } from '../metrics/metrics.js';
import { builtIn } from './commands.js';

/** So many commands have their own counts, and further ones are "other": a visitor may have chosen their names. */
const MAX_COMMANDS = 100;

/** A counter by command and result. It keeps each pair's count, since finding it by its labels costs more than counting. */
export class CommandCounter {
  readonly #counter: Counter;
  /** The counts of "other", by result. */
  readonly #ofOthers = new Map<string, Count>();
  /** The commands' own counts, by command, then by result. */
  readonly #byCommand = new Map<string, Map<string, Count>>();

  constructor(name: string, help: string, metrics: Metrics) {
    this.#counter = metrics.counter(name, help, ['command', 'result']);
  }

  inc(command: string, result: string, by = 1): void {
    const counts = this.#byCommand.get(command) ?? this.#countsOf(command);
    let count = counts.get(result);
    if (!count) {
      const hasOwnCounts = this.#byCommand.has(command);
      count = this.#counter.of(hasOwnCounts ? command : 'other', result);
      counts.set(result, count);
    }
    count.inc(by);
  }

  #countsOf(command: string): Map<string, Count> {
    if (builtIn.has(command) || this.#byCommand.size < MAX_COMMANDS) {
      const counts = new Map<string, Count>();
      this.#byCommand.set(command, counts);
      return counts;
    }
    return this.#ofOthers;
  }
}
