import { bloomFault } from '../bloom/bloom-error.js';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { commandKeys } from '../keys.js';
import { answerOf, errorText, isRead, NO_COMMAND } from '../protocol.js';
import { isCluster, type RedisClient } from '../redis/connect.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { tellsOfReplica } from '../redis/roles.js';
import type { Script, ScriptArgument } from '../redis/run-script.js';
import { activityText, minutesOf, readActivity } from './commands/activity.js';
import type { Intelligence, ListCommand } from './commands/command.js';
import { listCommands, scripted, workScript } from './commands/index.js';
import type { Job } from './queue.js';
import { type Replies, unpushed } from './replies.js';

/** One script call: some messages' keys and arguments, as work.lua takes them. */
interface Call {
  readonly jobs: Job[];
  readonly keys: string[];
  /** streams, and lists where answers go: they stand after the keys */
  readonly lists: Map<string, number>;
  readonly args: ScriptArgument[];
}

/** What is to be sent again: at once, since a list's rest is to be looked up; or after a pause, since it did not arrive. */
export interface Unfinished {
  readonly held: Job[];
  readonly unsent: Job[];
}

/** Items of a list that one call looks up at most, fewer where their text is long; the script may do fewer. */
const PIECE = 256;
const LEAST_PIECE = 16;
const PIECE_LENGTH = 16_384;

/** A message whose call got no answer is sent so often: a Redis that is slow for a second loses nothing. */
const TRIES = 5;

/** Where work.lua sends an answer, if to no list. */
const TO_CALLER = -1;
/** The same, of a message whose first call got no answer: what was counted by that one is reported. */
const SENT_AGAIN = -2;

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
    /** so many items were not taken by full Bloom filters */
    readonly onRefused: (items: number) => void,
  ) {
    this.#script = workScript(of);
    this.#cluster = isCluster(client);
  }

  /** Works on messages of built-in commands; gives back those that are not finished, in their order. */
  async run(jobs: readonly Job[]): Promise<Unfinished> {
    const reads = jobs.filter(({ message }) => message.command === 'activity');
    const some = reads.length === 0 ? jobs : jobs.filter((job) => !reads.includes(job));
    const [unfinished] = await Promise.all([this.#work(some), ...reads.map((job) => this.#readActivity(job))]);
    return unfinished;
  }

  async #work(jobs: readonly Job[]): Promise<Unfinished> {
    if (!this.#cluster) return this.#send(this.#callOf(jobs));
    const bySession = new Map<string, Job[]>();
    for (const job of jobs) {
      const same = bySession.get(job.message.sid);
      if (same) same.push(job);
      else bySession.set(job.message.sid, [job]);
    }
    const unsent = await Promise.all(Array.from(bySession.values(), (some) => this.#send(this.#callOf(some))));
    return { held: unsent.flatMap(({ held }) => held), unsent: unsent.flatMap((one) => one.unsent) };
  }

  /** A read by itself: its bytes need no Lua. What this command answers is what was before this minute. */
  async #readActivity(job: Job): Promise<void> {
    const { message, payload } = job;
    try {
      const minutes = minutesOf(payload, this.of);
      const { activity } = commandKeys(this.options.namespace, message.sid);
      const [seconds, data] = await readActivity.runBuffers(this.client, [activity]).catch((error) => {
        throw redisFault(error);
      });
      this.#answer(job, activityText(data, Number(seconds), minutes, this.of.activityDays));
      this.onOutcome(job, 'done');
    } catch (error) {
      const coded = (error as IntelligentSessionError).code === 'ERR_INTELLIGENT_SESSION_MESSAGE';
      this.#answerError(job, coded ? (error as Error).message : 'The command failed');
      this.onOutcome(job, 'failed', error);
    }
  }

  #answer({ message, asker }: Job, data: string): void {
    if (asker) return asker.answer(data);
    const answer = answerOf(this.options.namespace, message);
    if (answer) this.replies.push(answer, answer.head === '' ? data : `${answer.head}"data":${data}}`);
  }

  /** Who waits in this process is told by the outcome. */
  #answerError({ message, asker }: Job, error: string): void {
    const answer = asker ? undefined : answerOf(this.options.namespace, message);
    if (answer && answer.head !== '') this.replies.push(answer, errorText(answer.head, error));
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
    const command = scripted.get(message.command);
    const answer = job.asker ? undefined : answerOf(namespace, message);
    let args: ScriptArgument[];
    try {
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
      if ('items' in command) args = this.#piece(job, command);
      else args = command.arguments(payload, this.of, message);
    } catch (error) {
      this.#answerError(job, (error as Error).message);
      this.onOutcome(job, 'failed', error);
      return;
    }
    const keys = commandKeys(namespace, message.sid);
    for (const name of command.keys) call.keys.push(keys[name]);
    const ttlMs = (message.request.ttlSeconds ?? this.options.ttlSeconds) * 1000;
    let target = 0;
    if (job.asker) target = job.tries ? SENT_AGAIN : TO_CALLER;
    else if (answer) target = this.#cluster ? TO_CALLER : this.#list(call, answer.key);
    call.args.push(message.command, ttlMs, target, answer?.head ?? '');
    if (entry && !this.#cluster) {
      call.args[0] = group;
      call.args.push(this.#list(call, entry.stream), job.acknowledged ? '' : entry.id);
    }
    call.args.push(args.length);
    for (const arg of args) call.args.push(arg);
    call.jobs.push(job);
  }

  /** The next items of a list: 1 where that is all of it, then what the command makes of them. */
  #piece(job: Job, command: ListCommand): ScriptArgument[] {
    job.list ??= { items: command.items(job.payload, this.of), done: 0, parts: [], piece: PIECE };
    const { items, done, piece } = job.list;
    let [end, length] = [done, 0];
    while (end < items.length && end < done + piece && length < PIECE_LENGTH) length += items[end++]?.length ?? 0;
    const whole = done === 0 && end === items.length ? 1 : 0;
    return [whole, ...command.arguments(items.slice(done, end), this.of, job.message.sid)];
  }

  /** A part of a list was looked up: is it not finished? */
  #isHeld(job: Job, part: string): boolean {
    const { list } = job;
    const command = listCommands.get(job.message.command);
    if (!list || !command) return false;
    const space = part.indexOf(' ');
    const many = Number(part.slice(0, space));
    list.done += many;
    list.parts.push(part.slice(space + 1));
    // what is sent and not looked up costs, too
    list.piece = Math.min(PIECE, Math.max(LEAST_PIECE, 2 * many));
    if (list.done < list.items.length) return true;
    this.#answer(job, command.join(list.parts));
    return false;
  }

  #list({ lists }: Call, key: string): number {
    const known = lists.get(key);
    if (known !== undefined) return known;
    lists.set(key, lists.size + 1);
    return lists.size;
  }

  async #send({ jobs, keys, lists, args }: Call): Promise<Unfinished> {
    const held: Job[] = [];
    if (jobs.length === 0) return { held, unsent: [] };
    let reply: (number | string)[];
    try {
      reply = await this.#script.run(this.client, [...keys, ...lists.keys(), ...args], keys.length + lists.size);
    } catch (error) {
      return { held, unsent: this.#afterFault(jobs, error) };
    }
    const untouched = new Set<Job>();
    const told = new Map<Job, Outcome>();
    for (let i = 0; i < reply.length; i += 3) {
      const [kind, text] = [reply[i + 1], String(reply[i + 2])];
      if (kind === 'unpushed') this.replies.onFault(unpushed(text));
      if (kind === 'refused') this.onRefused(Number(text));
      const job = jobs[(reply[i] as number) - 1];
      if (!job) continue;
      const answer = job.asker ? undefined : answerOf(this.options.namespace, job.message);
      if (kind === 'answer') {
        if (job.asker) job.asker.answer(text);
        else if (answer) this.replies.push(answer, text);
      } else if (kind === 'held') {
        held.push(job);
        untouched.add(job);
      } else if (kind === 'part') {
        if (this.#isHeld(job, text)) held.push(job);
      } else if (kind === 'again' || kind === 'gone') told.set(job, kind);
      else if (kind === 'error') {
        told.set(job, 'failed');
        this.onOutcome(job, 'failed', /Bloom|OTHERFORM/.test(text) ? bloomFault(new Error(text)) : redisFault(text));
      }
    }
    for (const job of jobs) {
      if (!this.#cluster && !untouched.has(job)) job.acknowledged = true;
      if (held.includes(job)) continue;
      const outcome = told.get(job) ?? 'done';
      if (outcome !== 'failed') this.onOutcome(job, outcome);
    }
    return { held, unsent: [] };
  }

  /**
   * What Redis refused as a whole failed. Where it can't be known whether it did, a message that writes is tried again, a
   * stream's until it is known: none counts twice. A read is not, unless it was never sent: Redis may be at it still, and who
   * waits has gone.
   */
  #afterFault(jobs: readonly Job[], error: unknown): Job[] {
    const again: Job[] = [];
    for (const job of jobs) {
      const tries = (job.tries ?? 0) + 1;
      const repeats = mayPass(error) && (!isRead(job.message.command) || wasNotSent(error));
      if ((tries === TRIES && !job.entry) || !repeats) this.onOutcome(job, 'failed', redisFault(error));
      else again.push(Object.assign(job, { tries }));
    }
    return again;
  }
}

const PASSING = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF)/;

/** Was it the connection, or a server that is changing its role, and not what Redis thinks of the call? */
function mayPass(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false; // ours
  const { name, message } = error as Error;
  return name !== 'ReplyError' || PASSING.test(message) || tellsOfReplica(message);
}
