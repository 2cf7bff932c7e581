import { OptionError, redisFault } from '../errors/errors.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { tellsOfReplica } from '../redis/roles.js';
import type { Task } from './task.js';

/** A message whose calls get no answer is sent this often, so that nothing is lost where Redis is slow for a second. */
const ATTEMPTS = 5;

/** What a server answers for as long as it loads its data, changes its role or is otherwise unable to work. */
const PASSING = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF)/;

/**
 * Of the tasks of a call that failed, gives those that are to be sent again, and tells `failed` of the others. A call that Redis refused
 * has failed. Where nobody knows whether Redis carried it out, a task that writes is tried again, which counts nothing twice; a
 * stream's task until it is known. A task that only reads is not, unless it was never sent: Redis may still be busy with it, and
 * whoever waited for it has gone.
 */
export function tasksToSendAgain<T extends Task>(
  tasks: readonly T[],
  error: unknown,
  failed: (task: T, fault: Error) => void,
): T[] {
  const unsent: T[] = [];
  for (const task of tasks) {
    task.attempts++;
    const repeats = mayPass(error) && (task.builtIn?.effect !== 'reads' || wasNotSent(error));
    // A task that is kept has an entry in a stream, which is there until it was carried out.
    if (repeats && (task.attempts < ATTEMPTS || task.isKept)) unsent.push(task);
    else failed(task, redisFault(error));
  }
  return unsent;
}

/** Is it a fault of the connection, or of a server that is changing its role, which may pass, and not Redis' answer to the call? */
function mayPass(error: unknown): boolean {
  // These are thrown by this process, for what it was given or by a mistake in it: another attempt would end in the same way.
  if (error instanceof OptionError || error instanceof TypeError || error instanceof RangeError) return false;
  const { name, message } = error as Error;
  return name !== 'ReplyError' || PASSING.test(message) || tellsOfReplica(message);
}
