import type { Ending } from '../intelligence/script-calls.js';
import { GROUP, INBOX_TTL_MS, REPLY_TTL_MS } from '../transport/protocol.js';
import { loadScript } from '../redis/load-script.js';
import { TOO_MUCH, unpushed } from '../transport/replies/push.js';
import type { Undrained } from '../transport/replies/undrained.js';
import type { WorkerTask } from '../transport/worker-task.js';

/**
 * The last part of a worker's script on one Redis: the script itself acknowledges a message's stream entry, and pushes the
 * answer.
 */
export class AcknowledgeAndPush implements Ending<WorkerTask> {
  readonly lua = [
    `local GROUP, INBOX_TTL_MS, REPLY_TTL_MS = '${GROUP}', ${INBOX_TTL_MS}, ${REPLY_TTL_MS}`,
    loadScript('lib/transport/replies/push-answers.lua'),
    loadScript('lib/worker/acknowledge-and-push.lua'),
  ].join('\n');

  constructor(
    readonly undrained: Undrained,
    readonly onUnpushed: (error: unknown) => void,
  ) {}

  begin(keys: string[]) {
    /** Where each list and stream stands in KEYS, counted from 1, as Lua does: push() gives the new length. */
    const numbers = new Map<string, number>();
    const numberOf = (key: string): number => {
      const number = numbers.get(key) ?? keys.push(key);
      numbers.set(key, number);
      return number;
    };
    return ({ replyList, payload, entry, acknowledged }: WorkerTask): object => {
      // The answer's size is not known yet, so its payload's is taken: longer answers have a few kB. noted() gets the true one.
      const isAllowed = replyList && this.undrained.allows(replyList.key, replyList.ttlMs, Buffer.byteLength(payload));
      if (isAllowed === false) this.onUnpushed(unpushed(TOO_MUCH));
      return {
        ...(isAllowed && { list: numberOf(replyList.key), head: replyList.head }),
        ...(entry && !acknowledged && { stream: numberOf(entry.stream), entry: entry.id }),
      };
    };
  }

  workedOn(task: WorkerTask): void {
    task.acknowledged = true;
  }

  noted(name: string, text: string): void {
    if (name === 'unpushed') this.onUnpushed(unpushed(text));
    if (name !== 'pushed') return;
    // The key comes last, since it may have spaces.
    const [ttlMs = '', before = '', count = '', bytes = '', ...key] = text.split(' ');
    this.undrained.pushed(key.join(' '), Number(ttlMs), Number(before), Number(count), Number(bytes));
  }
}
