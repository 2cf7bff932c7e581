import { type AddressInfo, createServer } from 'node:net';

/**
 * Listens with a backlog of one, and tells its parent the port, where further connections wait in vain once it is stopped
 * (SIGSTOP).
 */
const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  process.send?.((server.address() as AddressInfo).port);
});
