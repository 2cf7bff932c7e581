import type { Redis } from 'ioredis';
import type { RedisTarget } from './target.js';

/** More waiting bytes than these are written before the turn ends, so that Redis can begin with them. */
const EARLY_WRITE_BYTES = 4096;

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
    if (socket && socket.writableLength > EARLY_WRITE_BYTES) {
      socket.uncork();
      socket.cork();
    }
    return sent;
  };
}

/** Writes at once what was sent so far in this turn of the event loop. */
export function flushWrites(target: RedisTarget): void {
  for (const { stream } of target.masters()) stream?.uncork();
}
