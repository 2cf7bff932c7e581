import { Command, type Redis } from 'ioredis';
import { CONNECT_ROUND_TRIPS, reconnectMsOf } from './liveness.js';
import { loopNowMs, onLoopTick } from './loop-clock.js';

interface PendingCommand {
  readonly command: Command & { readonly isSettled: boolean; reject(error: Error): void };
  /** By the event loop's clock. */
  dueMs: number;
  /** The client or node that it was sent through last. */
  node: Redis;
  /** Does it wait in the queue of that node, which sends it when it is ready? */
  isQueued: boolean;
  /** Was the connection to its node lost, or is it being sent a second time? Then it waits no longer than a reconnection takes. */
  isLost: boolean;
}

/**
 * Rejects commands that have no answer after `limitMs` of the event loop's clock (loop-clock.ts); without `limitMs`, as in a
 * Cluster whose caller has set a `commandTimeout`, only those whose node was lost, which ioredis would send again for ever.
 * Keeps ioredis from sending a rejected command (again, or from its offline queue): nobody waits for it. ioredis' own
 * `commandTimeout` is a timer, which after a stall of this process fires before the answer that has arrived is read.
 */
export class CommandLimit {
  readonly #pending = new Map<PendingCommand['command'], PendingCommand>();
  /**
   * The nodes that were ready, by address, each the last one there: a first connection may take the whole limit. A Cluster's
   * client makes a new node for a lost one, which does not know its distance yet.
   */
  readonly #connectedOnce = new Map<string, Redis>();
  #stopTicks: (() => void) | undefined;

  constructor(readonly limitMs: number | undefined) {}

  /** Limits the commands that are sent through a client, or through a node of a Cluster. */
  watch(node: Redis): void {
    const limit = (command: PendingCommand['command'], connection: Redis) => this.#add(command, connection);
    const send = node.sendCommand;
    node.on('ready', () => this.#connectedOnce.set(addressOf(node), node));
    node.sendCommand = function (this: Redis, command: PendingCommand['command'], stream) {
      if (command.isSettled) return command.promise;
      // liveness.ts bounds the handshake: no caller waits for its commands, and a slow handshake must be able to end
      if (this.status !== 'connect' || !Command.checkFlag('HANDSHAKE_COMMANDS', command.name)) limit(command, this);
      return send.call(this, command, stream);
    } as Redis['sendCommand'];
  }

  #add(command: PendingCommand['command'], node: Redis): void {
    const known = this.#pending.get(command);
    if (known) {
      const isFromQueue = known.isQueued && known.node === node;
      known.isQueued = node.status !== 'ready';
      if (isFromQueue) return;
      // A Cluster's client sends the command again: its node was lost, or the slot has got another master. Commands that were
      // refused once have a failover or a move behind them, and get the time of one reconnection.
      known.node = node;
      this.#markLost(known);
    } else {
      const dueMs = loopNowMs() + (this.limitMs ?? Number.POSITIVE_INFINITY);
      this.#pending.set(command, { command, dueMs, node, isQueued: node.status !== 'ready', isLost: false });
    }
    this.#stopTicks ??= onLoopTick(() => this.#check());
  }

  #markLost(pending: PendingCommand): void {
    if (pending.isLost) return;
    pending.isLost = true;
    const servers = { masters: () => [...this.#connectedOnce.values()], connectRoundTrips: CONNECT_ROUND_TRIPS };
    pending.dueMs = Math.min(pending.dueMs, loopNowMs() + reconnectMsOf(servers));
  }

  #check(): void {
    const nowMs = loopNowMs();
    for (const pending of this.#pending.values()) {
      const { command, node } = pending;
      if (!command.isSettled) {
        if (node.status !== 'ready' && this.#connectedOnce.has(addressOf(node))) this.#markLost(pending);
        if (nowMs < pending.dueMs) continue;
        command.reject(new Error(pending.isLost ? 'the connection was lost' : `no answer within ${this.limitMs} ms`));
      }
      this.#pending.delete(command);
    }
    if (this.#pending.size > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }
}

const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;
