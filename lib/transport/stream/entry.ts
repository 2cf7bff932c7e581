import { newerVersion } from '../../errors/errors.js';
import { loopNowMs } from '../../redis/loop-clock.js';
import { checkPayload, parseRequest } from '../protocol.js';
import { type MessageContext, WorkerTask } from '../worker-task.js';
import type { Partition } from './partition.js';

export type Entry = readonly [id: string, fields: readonly string[]];

/** An entry's first field has this name: its form, with the version. Redis stores names that entries share only once. */
const ENTRY_FORM = 'r1';

/** The task that an entry says. Throws a coded error where the entry is not of the form that WIRE.md has. */
export function taskOf([id, fields]: Entry, partition: Partition, context: MessageContext): WorkerTask {
  const [form, request = '', , payload = ''] = fields;
  if (form !== ENTRY_FORM) throw newerVersion('a message of the stream');
  const message = parseRequest(request);
  checkPayload(payload);
  // It lay there for so long while this process could have read it: what came during a stall counts as just heard.
  const ageMs = Math.max(0, loopNowMs() - partition.clockOffsetMs - Number.parseInt(id, 10));
  return new WorkerTask(message, payload, performance.now() - ageMs, context, { stream: partition.key, id });
}
