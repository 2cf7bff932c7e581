import type { Redis } from 'ioredis';
import type { RedisTarget } from './target.js';

/** So many bytes are written before the turn ends: Redis can begin with them. */
const WRITE_BYTES = 4096;

/** Writes all commands of one turn of the event loop together. ioredis alone makes a system call for every command. */
export const corkWrites = (target: RedisTarget): void => target.eachConnection(corkConnection);

function corkConnection(client: Redis): void {
  const send = client.sendCommand;
  client.sendCommand = function (this: Redis, command, stream) {
    const socket = this.stream;
    if (socket && !socket.writableCorked) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    const sent = send.call(this, command, stream);
    if (socket && socket.writableLength > WRITE_BYTES) {
      socket.uncork();
      socket.cork();
    }
    return sent;
  };
}

/** Writes at once what this turn has sent so far. */
export function flushWrites(target: RedisTarget): void {
  for (const { stream } of target.masters()) stream?.uncork();
}
