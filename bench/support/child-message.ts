import type { ChildProcess } from 'node:child_process';

/** The next message of a side in a process of its own. Rejects where that process ends instead, which would send none for ever. */
export function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`A side of the benchmark ended with exit code ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}
