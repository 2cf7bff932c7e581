import type { Change, Recipient } from '../lib/transport/protocol.js';
import type { TrackedSession } from './intelligence.js';
import { EventStream } from './event-streams.js';
import { ListTimer } from './list-timer.js';
import type { SessionOfStream } from './missing-sessions.js';

/** What is told in so short a time is asked for once. */
const DEBOUNCE_MS = 30;
/** So many visitors' counts are asked for at once; the others wait for their turn. */
const MAX_ASKING = 32;

/** What a list had when a count was asked for. */
export interface CountedList {
  /** The position of what was published last: it is counted, and what is told later is not. */
  readonly last: number;
  /** The position of the oldest; 0 where it has none. */
  readonly oldest: number;
  /** When the next one is to be seen that was planned for later, µs by Redis' clock. */
  readonly nextUs: number | undefined;
  /** When the next one expires, µs by Redis' clock. */
  readonly expiresUs: number | undefined;
}

/** How many notifications a visitor has not read. */
export interface Counted {
  readonly count: number;
  /** When that was so, µs by Redis' clock. */
  readonly nowUs: number;
  /** The visitor's lists: those of the groups in their order, and their own as the last. */
  readonly lists: readonly CountedList[];
}

/** Where changes are told, over one connection of the process. */
export interface Changes {
  /** Calls `listener` with what is told of a list, or of a subject; returns what unsubscribes it. */
  follow(to: Recipient, listener: (change: Change) => void): () => void;
  /** Is everything heard that is told from now on? */
  isHeard(to: Recipient): boolean;
}

/** A list that streams are open for: a group's, or a subject's own. */
class OpenList {
  readonly streams = new Set<LiveStream>();
  unfollow: () => void = () => {};
  timer: ListTimer | undefined;
  /** What the timer waits for: the position that is to be seen then; undefined: something expires. */
  nextPosition: number | undefined;
  /** The position of its oldest. One that is later than before says that a full list has dropped some. */
  oldest = 0;

  constructor(readonly to: Recipient) {}
}

type Asking = 'no' | 'waiting' | 'asked' | 'asked, and again';

const NONE: readonly number[] = [];

/** A stream that says how many notifications its visitor has not read. */
export class LiveStream extends EventStream implements SessionOfStream {
  /** Undefined until it is known. */
  count: number | undefined;
  asking: Asking = 'no';
  /** The lists of the visitor's groups, and their own as the last. */
  lists: readonly OpenList[] = [];
  /** The time of that count, and the position up to which each list is counted in it. */
  countedAtUs = 0;
  lasts: readonly number[] = NONE;
  readonly subject: string;
  readonly ttlSeconds: number;
  endsAtMs: number;

  constructor(
    res: EventStream['res'],
    /** The session, whose end ends the stream. */
    readonly sid: string,
    visitor: TrackedSession,
    readonly groups: readonly string[],
  ) {
    super(res);
    this.subject = visitor.subject;
    this.ttlSeconds = visitor.ttlSeconds;
    this.endsAtMs = Date.now() + visitor.ttlSeconds * 1000;
  }
}

export interface LiveCountsHooks {
  /** Asks Redis; undefined where there was no answer. */
  ask(stream: LiveStream): Promise<Counted | undefined>;
  /** The stream's count is another one. */
  changed(stream: LiveStream): void;
  /** A session of this subject has ended, in some process. */
  ended(session: string, streams: Iterable<LiveStream>): void;
}

/**
 * The counts of open streams. Redis is asked at opening, and when something was read, edited or removed; a publication adds one here.
 * Asking is debounced, and few are asked at once, so that a change of everybody's list does not hold up pages.
 */
export class LiveCounts {
  readonly #lists = new Map<string, OpenList>();
  /** Streams whose count is to be asked for, in their order. */
  readonly #waiting = new Set<LiveStream>();
  /** Streams whose count was asked for in vain, or while changes of their lists were not heard: it may be another one by now. */
  readonly #unsure = new Set<LiveStream>();
  #asking = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly changes: Changes,
    readonly hooks: LiveCountsHooks,
  ) {}

  open(stream: LiveStream): void {
    const recipients: Recipient[] = [...stream.groups.map((group) => ({ group })), { subject: stream.subject }];
    stream.lists = recipients.map((to) => this.#list(to));
    for (const list of stream.lists) list.streams.add(stream);
    this.ask([stream]);
  }

  close(stream: LiveStream): void {
    this.#waiting.delete(stream);
    this.#unsure.delete(stream);
    for (const list of stream.lists) {
      list.streams.delete(stream);
      if (list.streams.size > 0) continue;
      list.unfollow();
      list.timer?.clear();
      this.#lists.delete(nameOf(list.to));
    }
    stream.lists = [];
  }

  /** Asks again for these streams, soon. */
  ask(streams: Iterable<LiveStream>): void {
    for (const stream of streams) {
      if (stream.asking === 'asked') stream.asking = 'asked, and again';
      if (stream.asking !== 'no') continue;
      stream.asking = 'waiting';
      this.#waiting.add(stream);
    }
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => this.#drain(), DEBOUNCE_MS).unref();
  }

  /** Asks again for those whose count is not sure, at a heartbeat and when changes are heard. */
  askUnsure(): void {
    const streams = [...this.#unsure];
    this.#unsure.clear();
    this.ask(streams);
  }

  #list(to: Recipient): OpenList {
    const name = nameOf(to);
    let list = this.#lists.get(name);
    if (!list) {
      const opened = new OpenList(to);
      list = opened;
      this.#lists.set(name, opened);
      opened.unfollow = this.changes.follow(to, (change) => this.#told(opened, change));
    }
    return list;
  }

  #told(list: OpenList, change: Change): void {
    switch (change.type) {
      case 'published':
        this.#published(list, ({ lasts, lists }) => change.position > (lasts[lists.indexOf(list)] ?? 0));
        // The answer says what the list's timer has to wait for, and whether a full list has dropped some.
        return this.#askOne(list);
      case 'scheduled':
        return this.#askOne(list);
      case 'changed':
      case 'read':
        return this.ask(list.streams);
      case 'ended':
        return this.hooks.ended(change.session, list.streams);
    }
  }

  /** One more is to be seen. Where it is not clear whether a count has it already, Redis is asked. */
  #published(list: OpenList, isNew: (stream: LiveStream) => boolean): void {
    const unsure: LiveStream[] = [];
    for (const stream of list.streams) {
      if (stream.asking !== 'no' || stream.count === undefined) unsure.push(stream);
      else if (isNew(stream)) {
        stream.count += 1;
        this.hooks.changed(stream);
      }
    }
    this.ask(unsure);
  }

  #drain(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const stream of this.#waiting) {
      if (this.#asking >= MAX_ASKING) return;
      this.#waiting.delete(stream);
      this.#asking += 1;
      stream.asking = 'asked';
      void this.#askFor(stream);
    }
  }

  async #askFor(stream: LiveStream): Promise<void> {
    const isHeard = stream.lists.every(({ to }) => this.changes.isHeard(to));
    const counted = await this.hooks.ask(stream);
    this.#asking -= 1;
    const isAgain = stream.asking === 'asked, and again';
    stream.asking = 'no';
    if (stream.lists.length > 0) {
      if (counted) this.#counted(stream, counted);
      if (!counted || !isHeard) this.#unsure.add(stream);
      if (isAgain) this.ask([stream]);
    }
    // What was told while this was asked for waits for the others that were told.
    if (!this.#timer) this.#drain();
  }

  #counted(stream: LiveStream, { count, nowUs, lists }: Counted): void {
    stream.countedAtUs = nowUs;
    stream.lasts = lists.map(({ last }) => last);
    for (const [i, list] of stream.lists.entries()) {
      const counted = lists[i];
      if (!counted) continue;
      this.#wait(list, nowUs, counted);
      this.#sawOldest(list, counted.oldest);
    }
    if (stream.count === count) return;
    stream.count = count;
    this.hooks.changed(stream);
  }

  /** Of what a full list has dropped, some had not read it: a publication has added one to their count, and nothing has taken one away. */
  #sawOldest(list: OpenList, oldest: number): void {
    const hasDropped = list.oldest > 0 && oldest > list.oldest;
    list.oldest = Math.max(list.oldest, oldest);
    if (hasDropped) this.ask([...list.streams].filter(({ count = 0 }) => count > 0));
  }

  /** Waits for what is to change by itself. */
  #wait(list: OpenList, nowUs: number, { nextUs, expiresUs }: CountedList): void {
    const atUs = Math.min(nextUs ?? Number.POSITIVE_INFINITY, expiresUs ?? Number.POSITIVE_INFINITY);
    list.nextPosition = nextUs === atUs ? nextUs : undefined;
    if (atUs === Number.POSITIVE_INFINITY) return list.timer?.clear();
    list.timer ??= new ListTimer(() => this.#due(list));
    list.timer.set((atUs - nowUs) / 1000);
  }

  #due(list: OpenList): void {
    const { nextPosition } = list;
    if (nextPosition === undefined) return this.ask(list.streams);
    this.#published(list, ({ countedAtUs }) => countedAtUs < nextPosition);
    this.#askOne(list);
  }

  #askOne(list: OpenList): void {
    for (const stream of list.streams) return this.ask([stream]);
  }
}

const nameOf = (to: Recipient): string => ('group' in to ? `g${to.group}` : `s${to.subject}`);
