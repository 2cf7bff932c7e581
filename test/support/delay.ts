import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../../bench/support/delaying-proxy.ts', import.meta.url));

/** A Redis that is so many milliseconds away, each way: the proxy is a process of its own, so that no stall here delays it. */
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
