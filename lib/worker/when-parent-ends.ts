import { readFileSync } from 'node:fs';

/** How often it is looked whether the parent is still there: no event tells that it has ended. */
const POLL_MS = 1_000;

/**
 * Calls back once when the process that started this one has ended. After a fork() the IPC channel's end tells that; where npm
 * or npx started this process, a change of its parents does: a SIGKILL ends npm alone, and its shell passes no SIGTERM on, so
 * this process would stay behind. The timer keeps no process alive.
 */
export function whenParentEnds(callback: () => void): void {
  if (process.channel) process.once('disconnect', callback);
  // The variable says that npm started this process. Where the parent's id is 1, npm has ended already, or never ends.
  else if (process.env.npm_command !== undefined && process.ppid > 1) {
    const atStart = ancestors();
    const timer = setInterval(() => {
      if (ancestors() === atStart) return;
      clearInterval(timer);
      callback();
    }, POLL_MS).unref();
  }
}

/** The parent's id and, where the parent is a shell that npm gave a command, the id of the shell's parent: npm. */
function ancestors(): string {
  const parent = process.ppid;
  const isShell = readProcess(parent, 'cmdline')?.split('\0')[1] === '-c';
  // The text is `pid (name) state parent …`, and the name may have anything in it.
  return isShell ? `${parent} ${/.*\) \w (\d+)/s.exec(readProcess(parent, 'stat') ?? '')?.[1]}` : String(parent);
}

/** Undefined where there is no /proc (macOS). A shell there gives its place to a lone command, so that the parent is npm. */
function readProcess(pid: number, file: 'cmdline' | 'stat'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
