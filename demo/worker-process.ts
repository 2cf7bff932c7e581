import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../lib/bin/intelligent-session.ts', import.meta.url));

/** The worker's bin in a process of its own. */
export class WorkerProcess {
  #child: ChildProcess | undefined;
  /** The first line that it prints: where it listens, and with which Bloom filter. */
  banner = '';

  constructor(
    readonly args: readonly string[],
    /** Where its log of faults goes. */
    readonly stderr: 'inherit' | 'ignore' = 'inherit',
    /** Added to this process' own: for what its arguments would show to everybody on the machine. */
    readonly env: Readonly<Record<string, string>> = {},
  ) {}

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the worker listens. */
  async start(): Promise<void> {
    if (this.#child) return;
    const child = spawn(process.execPath, ['--import', 'tsx', bin, 'worker', ...this.args], {
      // over 'ipc' the worker notices when this process ends, however it ends
      stdio: ['ignore', 'pipe', this.stderr, 'ipc'],
      env: { ...process.env, ...this.env },
    });
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    const [text] = (await Promise.race([
      once(child.stdout as Readable, 'data'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`The worker ended at start, exit code ${code}`))),
    ])) as [Buffer];
    this.banner = String(text).trim();
  }

  /** Resolves with the exit code; null where a signal ended the worker, or none runs. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child) return null;
    const exit = once(child, 'exit');
    child.kill(signal);
    const [code] = await exit;
    this.#child = undefined;
    return code;
  }
}
