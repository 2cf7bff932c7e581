// Loaded before an example (node --import): tells the parent where the example listens, since examples listen on any free port.
import { Server } from 'node:net';

const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  this.once('listening', () => process.send?.({ port: this.address()?.port }));
  return listen.apply(this, args);
};
