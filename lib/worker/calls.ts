import { bloomFault } from '../bloom/bloom-error.js';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { commandKeys } from '../keys.js';
import { answerOf, errorText } from '../protocol.js';
import { isCluster, type RedisClient } from '../redis/connect.js';
import type { Script, ScriptArgument } from '../redis/run-script.js';
import type { Intelligence } from './commands/command.js';
import { builtIn, workScript } from './commands/index.js';
import type { Job } from './queue.js';
import type { Replies } from './replies.js';

/** One script call: some messages' keys and arguments, as work.lua takes them. */
interface Call {
  readonly jobs: Job[];
  readonly keys: string[];
  /** streams, and lists where answers go: they stand after the keys */
  readonly lists: Map<string, number>;
  readonly args: ScriptArgument[];
}

/** A message whose call got no answer is sent so often: a Redis that is slow for a second loses nothing. */
const TRIES = 5;

/** What became of a message. */
export type Outcome = 'done' | 'again' | 'gone' | 'failed';

/** Turns messages into calls of work.lua: on one Redis many messages a call, in a Cluster those of one session. */
export class Calls {
  readonly #script: Script<(number | string)[]>;
  readonly #cluster: boolean;

  constructor(
    readonly client: RedisClient,
    readonly of: Intelligence,
    readonly replies: Replies,
    readonly options: { readonly namespace: string; readonly ttlSeconds: number; readonly group: string },
    readonly onOutcome: (job: Job, outcome: Outcome, fault?: unknown) => void,
  ) {
    this.#script = workScript(of);
    this.#cluster = isCluster(client);
  }

  /** Works on messages of built-in commands; gives back those whose call did not reach Redis, or may not have. */
  async run(jobs: readonly Job[]): Promise<Job[]> {
    if (!this.#cluster) return this.#send(this.#callOf(jobs));
    const bySession = new Map<string, Job[]>();
    for (const job of jobs) {
      const same = bySession.get(job.message.sid);
      if (same) same.push(job);
      else bySession.set(job.message.sid, [job]);
    }
    const unsent = await Promise.all(Array.from(bySession.values(), (some) => this.#send(this.#callOf(some))));
    return unsent.flat();
  }

  #callOf(jobs: readonly Job[]): Call {
    const call: Call = { jobs: [], keys: [], lists: new Map(), args: ['', 0] };
    for (const job of jobs) this.#add(call, job);
    call.args[1] = call.keys.length;
    return call;
  }

  #add(call: Call, job: Job): void {
    const { message, payload, entry } = job;
    const { namespace, group } = this.options;
    const command = builtIn.get(message.command);
    const answer = answerOf(namespace, message);
    let args: ScriptArgument[];
    try {
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'Unknown command');
      args = command.arguments(payload, this.of, message);
    } catch (error) {
      if (answer && answer.head !== '') this.replies.push(answer, errorText(answer.head, (error as Error).message));
      this.onOutcome(job, 'failed', error);
      return;
    }
    const keys = commandKeys(namespace, message.sid);
    for (const name of command.keys) call.keys.push(keys[name]);
    const ttlMs = (message.request.ttlSeconds ?? this.options.ttlSeconds) * 1000;
    const target = answer === undefined ? 0 : this.#cluster ? -1 : this.#list(call, answer.key);
    call.args.push(message.command, ttlMs, target, answer?.head ?? '');
    if (entry && !this.#cluster) {
      call.args[0] = group;
      call.args.push(this.#list(call, entry.stream), entry.id);
    }
    call.args.push(args.length);
    for (const arg of args) call.args.push(arg);
    call.jobs.push(job);
  }

  #list({ lists }: Call, key: string): number {
    const known = lists.get(key);
    if (known !== undefined) return known;
    lists.set(key, lists.size + 1);
    return lists.size;
  }

  async #send({ jobs, keys, lists, args }: Call): Promise<Job[]> {
    if (jobs.length === 0) return [];
    let reply: (number | string)[];
    try {
      reply = await this.#script.run(this.client, [...keys, ...lists.keys(), ...args], keys.length + lists.size);
    } catch (error) {
      return this.#afterFault(jobs, error);
    }
    const told = new Map<Job, Outcome>();
    for (let i = 0; i < reply.length; i += 3) {
      const [kind, text] = [reply[i + 1], String(reply[i + 2])];
      if (kind === 'unpushed') this.replies.onFault(new Error(text));
      const job = jobs[(reply[i] as number) - 1];
      if (!job) continue;
      const answer = answerOf(this.options.namespace, job.message);
      if (kind === 'answer' && answer) this.replies.push(answer, text);
      else if (kind === 'again' || kind === 'gone') told.set(job, kind);
      else if (kind === 'error') {
        told.set(job, 'failed');
        this.onOutcome(job, 'failed', /Bloom|OTHERFORM/.test(text) ? bloomFault(new Error(text)) : redisFault(text));
      }
    }
    for (const job of jobs) {
      if (!this.#cluster) job.acknowledged = true;
      const outcome = told.get(job) ?? 'done';
      if (outcome !== 'failed') this.onOutcome(job, outcome);
    }
    return [];
  }

  /**
   * What Redis refused as a whole failed. Where it can't be known whether it did, a message is tried again, a stream's until
   * it is known: none counts twice.
   */
  #afterFault(jobs: readonly Job[], error: unknown): Job[] {
    const again: Job[] = [];
    for (const job of jobs) {
      const tries = (job.tries ?? 0) + 1;
      if ((tries === TRIES && !job.entry) || !mayPass(error)) this.onOutcome(job, 'failed', redisFault(error));
      else again.push(Object.assign(job, { tries }));
    }
    return again;
  }
}

const PASSING = /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|UNBLOCKED|BUSY|NOREPLICAS|MISCONF)/;

/** Was it the connection, or a server that is changing its role, and not what Redis thinks of the call? */
function mayPass(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false; // ours
  const { name, message } = error as Error;
  return name !== 'ReplyError' || PASSING.test(message);
}
