import type { Change, Recipient } from '../lib/transport/protocol.js';
import { CountQueries } from './count-queries.js';
import type { TrackedSession } from './intelligence.js';
import { EventStream } from './event-streams.js';
import { ListTimer } from './list-timer.js';
import type { SessionOfStream } from './missing-sessions.js';

/**
 * The state of a list of notifications when a visitor's count was read. A notification's position is the time at which it becomes
 * visible, in µs since 1970 by Redis' clock; no two notifications of a list have the same one.
 */
export interface ListState {
  /** The position of the latest notification that the count includes. One that is published later has a higher position. */
  readonly lastPosition: number;
  /** The position of the oldest visible notification; 0 where none is visible. */
  readonly oldestPosition: number;
  /** When the next scheduled notification becomes visible, µs since 1970 by Redis' clock; undefined where none is scheduled. */
  readonly nextVisibleAtUs: number | undefined;
  /** When the next visible notification expires, µs since 1970 by Redis' clock; undefined where none is visible. */
  readonly nextExpiresAtUs: number | undefined;
}

/** How many notifications a visitor has not read, with the state of their lists at that time. */
export interface UnreadCount {
  readonly count: number;
  /** When it was counted, µs since 1970 by Redis' clock. */
  readonly nowUs: number;
  /** The lists of the visitor's groups in the groups' order, and the visitor's own list as the last. */
  readonly lists: readonly ListState[];
}

/** The messages about changes of lists, which all processes publish and this one receives over one connection. */
export interface Changes {
  /** Calls `listener` with each change of this recipient's list, and of what a subject has read. Returns a function that ends this. */
  follow(to: Recipient, listener: (change: Change) => void): () => void;
  /** Is the subscription in force, so that no change from now on is missed? */
  isHeard(to: Recipient): boolean;
}

/** A list that at least one open stream counts: a group's, or a visitor's own. */
class OpenList {
  readonly streams = new Set<LiveStream>();
  unfollow: () => void = () => {};
  /** Runs until the list changes by itself, since a notification becomes visible or expires. */
  timer: ListTimer | undefined;
  /** Where a notification becomes visible when the timer ends: its time, µs. Undefined where one expires. */
  nextVisibleAtUs: number | undefined;
  /** The position of the oldest visible notification, 0 where none was visible yet. */
  oldestPosition = 0;

  constructor(readonly to: Recipient) {}
}

/** An open stream that tells a browser how many notifications its visitor has not read. */
export class LiveStream extends EventStream implements SessionOfStream {
  /** The number of unread notifications; undefined until the first answer. */
  count: number | undefined;
  /** The lists of the visitor's groups in the groups' order, and the visitor's own as the last. None once the stream is closed. */
  lists: readonly OpenList[] = [];
  /** When `count` was read, µs since 1970 by Redis' clock; 0 before the first answer. */
  countedAtUs = 0;
  /** For each of `lists`, the position up to which `count` includes its notifications. */
  lastPositions: readonly number[] = [];
  readonly subject: string;
  readonly ttlSeconds: number;
  endsAtMs: number;

  constructor(
    res: EventStream['res'],
    /** The id of the session. When this session ends, the stream is ended. */
    readonly sid: string,
    visitor: TrackedSession,
    readonly groups: readonly string[],
  ) {
    super(res);
    this.subject = visitor.subject;
    this.ttlSeconds = visitor.ttlSeconds;
    this.endsAtMs = Date.now() + visitor.ttlSeconds * 1000;
  }

  get isOpen(): boolean {
    return this.lists.length > 0;
  }
}

export interface LiveCountsHooks {
  /** Reads the count of a stream's visitor from Redis; undefined where there was no answer. */
  readCount(stream: LiveStream): Promise<UnreadCount | undefined>;
  /** `stream.count` has another value than before. */
  countChanged(stream: LiveStream): void;
  /** A session has ended in some process. The message names it by a hash of its id; `streams` are all those of its visitor. */
  sessionEnded(sidHash: string, streams: Iterable<LiveStream>): void;
}

/**
 * Keeps the counts of open streams up to date. A count is read from Redis when its stream opens, and when a notification was read, edited
 * or removed. A publication adds one to each count here, without a read for each stream.
 */
export class LiveCounts {
  /** By the name of the recipient. */
  readonly #lists = new Map<string, OpenList>();
  readonly #queries = new CountQueries<LiveStream>((stream) => this.#refresh(stream));
  /** Streams whose count may be wrong: the last read got no answer, or a change may have been missed during it. */
  readonly #unconfirmed = new Set<LiveStream>();

  constructor(
    readonly changes: Changes,
    readonly hooks: LiveCountsHooks,
  ) {}

  open(stream: LiveStream): void {
    const recipients: Recipient[] = [...stream.groups.map((group) => ({ group })), { subject: stream.subject }];
    stream.lists = recipients.map((to) => this.#openList(to));
    for (const list of stream.lists) list.streams.add(stream);
    this.readAgain([stream]);
  }

  close(stream: LiveStream): void {
    this.#queries.remove(stream);
    this.#unconfirmed.delete(stream);
    for (const list of stream.lists) {
      list.streams.delete(stream);
      if (list.streams.size > 0) continue;
      list.unfollow();
      list.timer?.clear();
      this.#lists.delete(nameOf(list.to));
    }
    stream.lists = [];
  }

  /** Reads the counts of these streams again, soon. */
  readAgain(streams: Iterable<LiveStream>): void {
    this.#queries.add(streams);
  }

  /** Reads those counts again that may be wrong. To be called from time to time, and when changes are received again. */
  readUnconfirmed(): void {
    const streams = [...this.#unconfirmed];
    this.#unconfirmed.clear();
    this.readAgain(streams);
  }

  #openList(to: Recipient): OpenList {
    const name = nameOf(to);
    let list = this.#lists.get(name);
    if (!list) {
      const opened = new OpenList(to);
      list = opened;
      this.#lists.set(name, opened);
      opened.unfollow = this.changes.follow(to, (change) => this.#onChange(opened, change));
    }
    return list;
  }

  #onChange(list: OpenList, change: Change): void {
    switch (change.type) {
      case 'published':
        this.#addOne(list, (stream) => change.position > (stream.lastPositions[stream.lists.indexOf(list)] ?? 0));
        return this.#refreshList(list);
      case 'scheduled':
        return this.#refreshList(list);
      case 'changed':
      case 'read':
        return this.readAgain(list.streams);
      case 'ended':
        return this.hooks.sessionEnded(change.session, list.streams);
    }
  }

  /**
   * Adds one to the counts that do not include a notification which has become visible. Where a count is being read, its answer may
   * include the notification or not: it is read again.
   */
  #addOne(list: OpenList, isMissingIn: (stream: LiveStream) => boolean): void {
    const undecided: LiveStream[] = [];
    for (const stream of list.streams) {
      if (stream.count === undefined || this.#queries.isPending(stream)) undecided.push(stream);
      else if (isMissingIn(stream)) {
        stream.count += 1;
        this.hooks.countChanged(stream);
      }
    }
    this.readAgain(undecided);
  }

  async #refresh(stream: LiveStream): Promise<void> {
    const wereChangesHeard = stream.lists.every(({ to }) => this.changes.isHeard(to));
    let answer: UnreadCount | undefined;
    try {
      answer = await this.hooks.readCount(stream);
    } catch {
      // A hook that fails is one that gives no answer: the count is read again later.
    }
    if (!stream.isOpen) return;
    if (answer) this.#use(stream, answer);
    if (!answer || !wereChangesHeard) this.#unconfirmed.add(stream);
  }

  #use(stream: LiveStream, { count, nowUs, lists }: UnreadCount): void {
    stream.countedAtUs = nowUs;
    stream.lastPositions = lists.map(({ lastPosition }) => lastPosition);
    for (const [i, list] of stream.lists.entries()) {
      const state = lists[i];
      if (!state) continue;
      this.#setTimer(list, nowUs, state);
      this.#setOldest(list, state.oldestPosition);
    }
    if (stream.count === count) return;
    stream.count = count;
    this.hooks.countChanged(stream);
  }

  /**
   * Notes a list's oldest notification. Where it is a later one than before, a full list has dropped some, which nobody tells: they are
   * still in the counts of visitors who had not read them, so these are read again.
   */
  #setOldest(list: OpenList, position: number): void {
    const hasDropped = list.oldestPosition > 0 && position > list.oldestPosition;
    list.oldestPosition = Math.max(list.oldestPosition, position);
    if (hasDropped) this.readAgain([...list.streams].filter(({ count = 0 }) => count > 0));
  }

  /** Sets the list's timer to the time at which the next notification becomes visible or expires. */
  #setTimer(list: OpenList, nowUs: number, { nextVisibleAtUs, nextExpiresAtUs }: ListState): void {
    const changesAtUs = Math.min(
      nextVisibleAtUs ?? Number.POSITIVE_INFINITY,
      nextExpiresAtUs ?? Number.POSITIVE_INFINITY,
    );
    list.nextVisibleAtUs = nextVisibleAtUs === changesAtUs ? nextVisibleAtUs : undefined;
    if (changesAtUs === Number.POSITIVE_INFINITY) return list.timer?.clear();
    list.timer ??= new ListTimer(() => this.#onTimer(list));
    list.timer.set((changesAtUs - nowUs) / 1000);
  }

  #onTimer(list: OpenList): void {
    const { nextVisibleAtUs } = list;
    if (nextVisibleAtUs === undefined) return this.readAgain(list.streams);
    this.#addOne(list, ({ countedAtUs }) => countedAtUs < nextVisibleAtUs);
    this.#refreshList(list);
  }

  /** Reads the list's state again. Every stream's answer has it, so the count of any one of its streams is read. */
  #refreshList(list: OpenList): void {
    for (const stream of list.streams) return this.readAgain([stream]);
  }
}

/** The name of a recipient in a map, where no group's can be a visitor's. */
const nameOf = (to: Recipient): string => ('group' in to ? `g${to.group}` : `s${to.subject}`);
