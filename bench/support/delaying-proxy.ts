/** A network with a delay: every byte waits so long on each way. fork(file, [target port, ms]) and wait for { port }. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

const [target, delay] = process.argv.slice(2).map(Number) as [number, number];
const server = createServer((near) => {
  const far = connect(target, '127.0.0.1');
  near.setNoDelay(true);
  far.setNoDelay(true);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.on('data', (bytes) => setTimeout(() => to.write(bytes), delay));
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  }
}).listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: (server.address() as AddressInfo).port });
process.once('disconnect', () => process.exit(0));
