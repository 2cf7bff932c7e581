import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../../bench/support/delaying-proxy.ts', import.meta.url));

/** Puts a Redis `ms` milliseconds away, each way, by a proxy in a process of its own, which no stall of this process delays. */
export async function startDistance(port: number, ms: number): Promise<{ url: string; stop(): Promise<void> }> {
  const child: ChildProcess = fork(file, [String(port), String(ms)], { execArgv: ['--import', 'tsx'] });
  const [message] = (await once(child, 'message')) as [{ port: number }];
  return {
    url: `redis://127.0.0.1:${message.port}`,
    stop: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
