import { Command, type Redis } from 'ioredis';
import { reconnectMsOf } from './liveness.js';
import { loopNowMs, onLoopTick } from './loop-clock.js';

interface UnfinishedWork {
  readonly command: Command & { readonly isSettled: boolean; reject(error: Error): void };
  dueMs: number;
  node: Redis;
  /** it was on its way to a node of a Cluster that was connected before, and waits no longer than for its reconnection */
  lost: boolean;
}

/**
 * Rejects commands that have no answer after `limitMs` of the loop's clock, and drops what is settled before it is sent: a
 * Cluster sends again what a lost node did not answer, and a node what has waited in its queue, though nobody waits for it.
 * ioredis' own `commandTimeout` is a timer, which after a stall fires before the answer that has arrived is read.
 */
export class CommandLimit {
  readonly #pending = new Map<UnfinishedWork['command'], UnfinishedWork>();
  readonly #connectedOnce = new Set<string>();
  #stop: (() => void) | undefined;

  constructor(readonly limitMs: number | undefined) {}

  /** Limits what is sent through a client, or a node of a Cluster. */
  watch(node: Redis): void {
    const limit = (command: UnfinishedWork['command'], connection: Redis) => this.#add(command, connection);
    const send = node.sendCommand;
    node.on('ready', () => this.#connectedOnce.add(addressOf(node)));
    node.sendCommand = function (this: Redis, command: UnfinishedWork['command'], stream) {
      if (command.isSettled) return command.promise;
      // a handshake is bounded by liveness.ts: nobody's command waits in it, and one that is slow has to come to its end
      if (this.status !== 'connect' || !Command.checkFlag('HANDSHAKE_COMMANDS', command.name)) limit(command, this);
      return send.call(this, command, stream);
    } as Redis['sendCommand'];
  }

  #add(command: UnfinishedWork['command'], node: Redis): void {
    const known = this.#pending.get(command);
    if (known) {
      // a Cluster sends it again: its node was lost, or has another master by now
      known.node = node;
      this.#hasLostItsNode(known);
    } else {
      const dueMs = loopNowMs() + (this.limitMs ?? Number.POSITIVE_INFINITY);
      this.#pending.set(command, { command, dueMs, node, lost: false });
    }
    this.#stop ??= onLoopTick(() => this.#check());
  }

  #hasLostItsNode(pending: UnfinishedWork): void {
    if (pending.lost) return;
    pending.lost = true;
    pending.dueMs = Math.min(pending.dueMs, loopNowMs() + reconnectMsOf({ masters: () => [pending.node] }));
  }

  #check(): void {
    const nowMs = loopNowMs();
    for (const pending of this.#pending.values()) {
      const { command, node } = pending;
      if (!command.isSettled) {
        if (node.status !== 'ready' && this.#connectedOnce.has(addressOf(node))) this.#hasLostItsNode(pending);
        if (nowMs < pending.dueMs) continue;
        command.reject(new Error(pending.lost ? 'the connection was lost' : `no answer within ${this.limitMs} ms`));
      }
      this.#pending.delete(command);
    }
    if (this.#pending.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}

const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;
