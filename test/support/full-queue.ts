import { type AddressInfo, createServer } from 'node:net';

/** Listens with a queue of one, and says where: a parent that stops it has a port that connections wait at. */
const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  process.send?.((server.address() as AddressInfo).port);
});
