import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../lib/bin/intelligent-session.ts', import.meta.url));

/** The worker's bin in a process of its own. */
export class WorkerProcess {
  #child: ChildProcess | undefined;
  /** its first line: where it listens, and with which Bloom filter */
  banner = '';

  constructor(
    readonly args: readonly string[],
    /** where its log of faults goes */
    readonly stderr: 'inherit' | 'ignore' = 'inherit',
  ) {}

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    if (this.#child) return;
    const child = spawn(process.execPath, ['--import', 'tsx', bin, 'worker', ...this.args], {
      stdio: ['ignore', 'pipe', this.stderr],
    });
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    const [text] = (await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`The worker ended at start, exit code ${code}`))),
    ])) as [Buffer];
    this.banner = String(text).trim();
  }

  /** SIGTERM by default; resolves with the exit code. */
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
