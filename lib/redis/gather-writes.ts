import type { Redis } from 'ioredis';

/** What a turn of the event loop sends goes out in one write: ioredis alone makes a system call of every command. */
export function gatherWrites(client: Redis): Redis {
  const send = client.sendCommand;
  client.sendCommand = function (this: Redis, command, stream) {
    const socket = this.stream;
    if (socket && !socket.writableCorked) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    return send.call(this, command, stream);
  };
  return client;
}
