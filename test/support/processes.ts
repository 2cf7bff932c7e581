import { execFileSync, spawnSync } from 'node:child_process';
import { until } from './until.js';

/** Every process that descends from this one: pid and arguments, as anybody on the machine sees them. */
export function descendants(ancestor: number): { pid: number; args: string }[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  const all = lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) as RegExpExecArray);
  const children = all
    .filter(([, , ppid]) => Number(ppid) === ancestor)
    .map(([, pid, , args]) => ({ pid: Number(pid), args: String(args) }));
  return children.flatMap((child) => [child, ...descendants(child.pid)]);
}

export function isRunning(pid: number): boolean {
  // a zombie (Z) has ended, and has its id until its parent asks for its exit code
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return state !== '' && !state.startsWith('Z');
}

/** Waits until the processes have ended; else fails with the arguments of those that still run. */
export async function allEnded(processes: readonly { pid: number; args: string }[]): Promise<void> {
  const left = () => processes.filter(({ pid }) => isRunning(pid));
  await until('all processes have ended', () => left().length === 0).catch((error: Error) => {
    throw new Error(
      `${error.message}: ${left()
        .map(({ args }) => args)
        .join('; ')}`,
    );
  });
}
