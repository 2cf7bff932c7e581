import { OptionError, redisFault } from '../errors/errors.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { tellsOfReplica } from '../redis/roles.js';
import type { Task } from './task.js';

/** A message whose calls get no answer is sent so many times, so that nothing is lost where Redis is slow for a second. */
const ATTEMPTS = 5;

/** What a failed call left is sent again after this. */
export const RETRY_DELAY_MS = 50;

/** What a server answers for as long as it loads its data, changes its role or is otherwise unable to work. */
const PASSING = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF)/;

/**
 * Of the tasks of a call that failed, gives those that are to be sent again, and tells `failed` of the others. A call that
 * Redis refused has failed. Where nobody knows whether Redis carried a call out, a task that writes is sent again, which counts
 * nothing twice: up to ATTEMPTS times, but a stream's task until Redis answers. A task that only reads is sent again only where
 * it was never sent: Redis may still be busy with it, and whoever asked has stopped waiting.
 */
export function tasksToSendAgain<T extends Task>(
  tasks: readonly T[],
  error: unknown,
  failed: (task: T, fault: Error) => void,
): T[] {
  const toSendAgain: T[] = [];
  for (const task of tasks) {
    task.attempts++;
    const maySendAgain = mayPass(error) && (task.builtIn?.effect !== 'reads' || wasNotSent(error));
    if (maySendAgain && (task.attempts < ATTEMPTS || task.isInStream)) toSendAgain.push(task);
    else failed(task, redisFault(error));
  }
  return toSendAgain;
}

/** May the fault pass, since the connection was lost or the server can't work for a while? Else Redis has refused the call. */
export function mayPass(error: unknown): boolean {
  // These are thrown by this process, for what it was given or by a mistake in it: another attempt would end in the same way.
  if (error instanceof OptionError || error instanceof TypeError || error instanceof RangeError) return false;
  const { name, message } = error as Error;
  return name !== 'ReplyError' || PASSING.test(message) || tellsOfReplica(message);
}
