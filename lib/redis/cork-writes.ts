import type { Redis } from 'ioredis';
import type { RedisTarget } from './target.js';

/** So much goes at once: Redis works on it while the rest of the turn goes on here. */
const ENOUGH_BYTES = 4096;

/** What a turn of the event loop sends goes out in a few writes: ioredis alone makes a system call of every command. */
export const gatherWrites = (target: RedisTarget): void => target.eachConnection(gather);

function gather(client: Redis): void {
  const send = client.sendCommand;
  client.sendCommand = function (this: Redis, command, stream) {
    const socket = this.stream;
    if (socket && !socket.writableCorked) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    const sent = send.call(this, command, stream);
    if (socket && socket.writableLength > ENOUGH_BYTES) {
      socket.uncork();
      socket.cork();
    }
    return sent;
  };
}

/** Writes what was gathered so far. */
export function writeNow(target: RedisTarget): void {
  for (const { stream } of target.masters()) stream?.uncork();
}
