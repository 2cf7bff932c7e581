import type { Command, Redis } from 'ioredis';
import { loopNowMs, onLoopTick } from './loop-clock.js';

/** How long a command waits for a node of a Cluster that was connected before: as a killed Redis is waited for. */
export const LOST_NODE_MS = 250;

interface Pending {
  readonly command: Command & { readonly isSettled: boolean; reject(error: Error): void };
  readonly dueMs: number;
  node: Redis;
  /** since when it waits for a node that is not connected, by the loop's clock */
  unconnectedSinceMs: number | undefined;
}

/**
 * Rejects commands that have no answer after `limitMs` of the loop's clock, and drops what is settled before it is sent: a
 * Cluster sends again what a lost node did not answer, and a node what has waited in its queue, though nobody waits for it.
 * ioredis' own `commandTimeout` is a timer, which after a stall fires before the answer that has arrived is read.
 */
export class CommandLimit {
  readonly #pending = new Map<Pending['command'], Pending>();
  readonly #connectedOnce = new Set<string>();
  #stop: (() => void) | undefined;

  constructor(readonly limitMs: number | undefined) {}

  /** Limits what is sent through a client, or a node of a Cluster. */
  watch(node: Redis): void {
    const limits = this;
    const send = node.sendCommand;
    node.on('ready', () => this.#connectedOnce.add(addressOf(node)));
    node.sendCommand = function (this: Redis, command: Pending['command'], stream) {
      if (command.isSettled) return command.promise;
      limits.#add(command, this);
      return send.call(this, command, stream);
    } as Redis['sendCommand'];
  }

  #add(command: Pending['command'], node: Redis): void {
    const known = this.#pending.get(command);
    if (known) known.node = node;
    else {
      const dueMs = loopNowMs() + (this.limitMs ?? Number.POSITIVE_INFINITY);
      this.#pending.set(command, { command, dueMs, node, unconnectedSinceMs: undefined });
    }
    this.#stop ??= onLoopTick(() => this.#check());
  }

  #check(): void {
    const nowMs = loopNowMs();
    for (const pending of this.#pending.values()) {
      const { command, dueMs, node } = pending;
      if (!command.isSettled) {
        if (node.status === 'ready') pending.unconnectedSinceMs = undefined;
        else pending.unconnectedSinceMs ??= nowMs;
        const lost =
          this.#connectedOnce.has(addressOf(node)) && nowMs - (pending.unconnectedSinceMs ?? nowMs) >= LOST_NODE_MS;
        if (nowMs < dueMs && !lost) continue;
        command.reject(new Error(lost ? 'the connection was lost' : `no answer within ${this.limitMs} ms`));
      }
      this.#pending.delete(command);
    }
    if (this.#pending.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}

const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;
