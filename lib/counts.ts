import { Counter, type Registry } from 'prom-client';

/** A counter by command and result whose children are looked up once: finding one by its labels costs more than counting. */
export class CommandCounts {
  readonly #counter: Counter<'command' | 'result'>;
  readonly #children = new Map<string, Counter.Internal>();

  constructor(name: string, help: string, registry: Registry) {
    this.#counter = new Counter({ name, help, labelNames: ['command', 'result'], registers: [registry] });
  }

  inc(command: string, result: string, by = 1): void {
    const key = `${command}:${result}`;
    let child = this.#children.get(key);
    if (!child) {
      child = this.#counter.labels(command, result);
      this.#children.set(key, child);
    }
    child.inc(by);
  }
}
