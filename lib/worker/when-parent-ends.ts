import { readFileSync } from 'node:fs';

/** How often it is looked: no event tells that a parent has ended. */
const LOOK_MS = 1_000;

/**
 * Calls back once when the process that started this one has ended: over its IPC channel (`fork()`), or, where npm or npx
 * started it, by its parent. npm passes on no SIGKILL, and its shell no SIGTERM: what they ran would stay behind. Keeps no
 * process alive.
 */
export function whenParentEnds(callback: () => void): void {
  if (process.channel) process.once('disconnect', callback);
  // npm's environment says so; a parent of 1 has ended already, or never ends
  else if (process.env.npm_command !== undefined && process.ppid > 1) {
    const started = ancestors();
    const timer = setInterval(() => {
      if (ancestors() === started) return;
      clearInterval(timer);
      callback();
    }, LOOK_MS).unref();
  }
}

/** The parent and, where that is a shell that npm gave a command, the shell's: npm itself. */
function ancestors(): string {
  const parent = process.ppid;
  const isShell = readProcess(parent, 'cmdline')?.split('\0')[1] === '-c';
  // pid (name) state parent …; a name may have anything in it
  return isShell ? `${parent} ${/.*\) \w (\d+)/s.exec(readProcess(parent, 'stat') ?? '')?.[1]}` : String(parent);
}

/** undefined where there is no /proc: there, shells leave their place to a lone command, so that the parent is npm. */
function readProcess(pid: number, file: 'cmdline' | 'stat'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
