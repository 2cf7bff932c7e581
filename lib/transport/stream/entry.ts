import { newerVersion } from '../../errors/errors.js';
import { loopNowMs } from '../../redis/loop-clock.js';
import { checkPayload, parseRequest } from '../protocol.js';
import { type MessageContext, WorkerTask } from '../worker-task.js';
import type { Partition } from './partition.js';

/** Its fields are names and values by turns: the form, the request, `p`, the payload. */
export type Entry = readonly [id: string, fields: readonly string[]];

/** The name of an entry's first field, which says the entry's form and version. Redis stores field names that entries share only once. */
const ENTRY_FORM = 'r1';

/** Makes a task of an entry. Throws a coded error where the entry has another form than WIRE.md says. */
export function taskOf([id, fields]: Entry, partition: Partition, context: MessageContext): WorkerTask {
  const [form, request = '', , payload = ''] = fields;
  if (form !== ENTRY_FORM) throw newerVersion('a message of the stream');
  const message = parseRequest(request);
  checkPayload(payload);
  // By the id, which begins with when it was added, ms by Redis' clock. Stalls of this process do not count.
  const ageMs = Math.max(0, loopNowMs() - partition.clockOffsetMs - Number.parseInt(id, 10));
  return new WorkerTask(message, payload, performance.now() - ageMs, context, { stream: partition.key, id });
}
