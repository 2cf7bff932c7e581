import { readFileSync } from 'node:fs';

/** How often the parent is looked for: no event tells that it has ended. */
const POLL_MS = 1_000;

/**
 * Calls back once when the process that started this one has ended: its IPC channel tells that (`fork()`), or, where npm or npx
 * started this process, the process's parent. npm passes on no SIGKILL, and its shell no SIGTERM: what they ran would stay
 * behind. Keeps no process alive.
 */
export function whenParentEnds(callback: () => void): void {
  if (process.channel) process.once('disconnect', callback);
  // npm's environment says that npm started it. A parent with the id 1 has ended already, or never ends.
  else if (process.env.npm_command !== undefined && process.ppid > 1) {
    const started = ancestors();
    const timer = setInterval(() => {
      if (ancestors() === started) return;
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

/** undefined where there is no /proc. There, shells leave their place to a lone command, so that the parent is npm. */
function readProcess(pid: number, file: 'cmdline' | 'stat'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
