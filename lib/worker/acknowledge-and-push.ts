import type { Ending } from '../intelligence/script-calls.js';
import { GROUP } from '../protocol.js';
import { loadScript } from '../redis/load-script.js';
import { unpushed } from './replies.js';
import type { WorkerTask } from './worker-task.js';

/** The ending of a worker's script on one Redis: it takes a stream's entry off the group's list, and pushes the answer. */
export class AcknowledgeAndPush implements Ending<WorkerTask> {
  readonly lua = [
    loadScript('lib/worker/push-answers.lua'),
    `local GROUP = '${GROUP}'`,
    loadScript('lib/worker/acknowledge-and-push.lua'),
  ].join('\n');

  constructor(readonly onUnpushed: (error: unknown) => void) {}

  begin(keys: string[]) {
    const numbers = new Map<string, number>();
    const numberOf = (key: string): number => {
      const known = numbers.get(key) ?? keys.push(key);
      numbers.set(key, known);
      return known;
    };
    return ({ replyTo, entry, acknowledged }: WorkerTask): object => ({
      ...(replyTo && { list: numberOf(replyTo.key) }),
      ...(replyTo && replyTo.head !== '' && { head: replyTo.head }),
      ...(entry && !acknowledged && { stream: numberOf(entry.stream), entry: entry.id }),
    });
  }

  workedOn(task: WorkerTask): void {
    task.acknowledged = true;
  }

  noted(name: string, text: string): void {
    if (name === 'unpushed') this.onUnpushed(unpushed(text));
  }
}
