import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A place that takes no connection and refuses none, as a machine that is gone: a listener whose queue is full. */
export async function startHole(): Promise<{ host: string; port: number; stop(): void }> {
  const child = fork(new URL('full-queue.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
  const [port] = (await once(child, 'message')) as [number];
  child.kill('SIGSTOP');
  const filling = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  await once(filling[0] as Socket, 'connect');
  return {
    host: '127.0.0.1',
    port,
    stop: () => {
      for (const socket of filling) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
