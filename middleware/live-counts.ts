import type { ListSchedule } from '../lib/notifications/list-schedule.js';
import type { Change, Recipient } from '../lib/transport/protocol.js';
import { CountQueries } from './count-queries.js';
import { EventStream } from './event-streams.js';
import type { TrackedSession } from './intelligence.js';
import type { SessionOfStream } from './missing-sessions.js';
import { OpenList } from './open-list.js';

/**
 * The state of a list of notifications when a visitor's count was read. A notification's position is when it becomes visible, µs since
 * 1970 by Redis' clock; no two of a list have the same one. One that is published is visible at once, though its position is ahead of
 * the clock where the list's last position is.
 */
export interface ListState {
  /** The list's last position. What is published later has a higher one; so may have what was scheduled and is visible by now. */
  readonly lastPosition: number;
  /** The position of the oldest visible notification; 0 where none is visible. */
  readonly oldestPosition: number;
  /** The same object in all answers to which the same copy of the list was used: of a group's list the process keeps one. */
  readonly schedule: ListSchedule;
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
  /**
   * Calls `listener` with each change of this recipient's list, and, of a subject, of what they have read and when a session of theirs ends.
   * Returns a function that ends this.
   */
  follow(to: Recipient, listener: (change: Change) => void): () => void;
  /** Is the subscription in force, so that no change from now on is missed? */
  isHeard(to: Recipient): boolean;
}

/** An open stream that tells a browser how many notifications its visitor has not read. */
export class LiveStream extends EventStream implements SessionOfStream {
  /** The number of unread notifications; undefined until the first answer. */
  count: number | undefined;
  /** The lists of the visitor's groups in the groups' order, and the visitor's own as the last. None once the stream is closed. */
  lists: readonly OpenList<LiveStream>[] = [];
  /** When `count` was read, µs since 1970 by Redis' clock; 0 before the first answer. */
  countedAtUs = 0;
  /** For each of `lists`, the position up to which `count` includes what was published. */
  lastPositions: readonly number[] = [];
  /** For each of `lists`, the position up to which `count` includes what was scheduled and has become visible. */
  visiblePositions: number[] = [];
  readonly subject: string;
  /** How long the visitor's data are kept from the stream's opening on; a user's are kept for longer than the session. */
  readonly ttlSeconds: number;
  /** When the session ends, as far as is known. It is asked with a store of the application's alone, which has no users. */
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
  /** A session has ended in some process. The message names it by a hash of its id; `streams` are all of its visitor in this process. */
  sessionEnded(sidHash: string, streams: Iterable<LiveStream>): void;
}

/**
 * Keeps the counts of open streams up to date. A count is read from Redis when its stream opens, when a notification was read, edited or
 * removed, when one has expired, when a full list has dropped some, and when a change may have been missed. What is published, or was
 * scheduled and becomes visible, adds one to each count here, without a read for each stream.
 */
export class LiveCounts {
  /** By the name of the recipient. */
  readonly #lists = new Map<string, OpenList<LiveStream>>();
  readonly #queries = new CountQueries<LiveStream>((stream) => this.#readCount(stream));
  /** Streams whose count may be wrong: the last read got no answer, or a change may have been missed during it. */
  readonly #unconfirmed = new Set<LiveStream>();
  /** Lists that have changed since their state was read. */
  readonly #outdated = new Set<OpenList<LiveStream>>();

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
      if (list.streams.size === 0) this.#closeList(list);
      // It may be this stream that was to bring the list's state.
      else if (this.#outdated.has(list)) this.#readListState(list);
    }
    stream.lists = [];
  }

  /** Reads the counts of these streams again, soon. */
  readAgain(streams: Iterable<LiveStream>): void {
    this.#queries.add(streams);
  }

  /** Reads again what may be wrong for want of an answer. To be called from time to time, and when changes are received again. */
  readUnconfirmed(): void {
    const streams = [...this.#unconfirmed];
    this.#unconfirmed.clear();
    this.readAgain(streams);
    for (const list of this.#outdated) this.#readListState(list);
  }

  #openList(to: Recipient): OpenList<LiveStream> {
    const name = nameOf(to);
    let list = this.#lists.get(name);
    if (!list) {
      const opened = new OpenList<LiveStream>(to, this.#onDue);
      list = opened;
      this.#lists.set(name, opened);
      opened.unfollow = this.changes.follow(to, (change) => this.#onChange(opened, change));
    }
    return list;
  }

  #closeList(list: OpenList<LiveStream>): void {
    list.close();
    this.#outdated.delete(list);
    this.#lists.delete(nameOf(list.to));
  }

  #onChange(list: OpenList<LiveStream>, change: Change): void {
    switch (change.type) {
      case 'published':
        this.#add(list, (stream, i) => (change.position > (stream.lastPositions[i] ?? 0) ? 1 : 0));
        return this.#onOutdated(list);
      case 'scheduled':
        this.#onScheduled(list, change.position);
        return this.#onOutdated(list);
      case 'changed':
      case 'read':
        return this.readAgain(list.streams);
      case 'ended':
        return this.hooks.sessionEnded(change.session, list.streams);
    }
  }

  /** A read that was under way, or that was answered when the notification was visible already, may have been without it. */
  #onScheduled(list: OpenList<LiveStream>, atUs: number): void {
    const isUncertain = (stream: LiveStream) =>
      this.#queries.isPending(stream) || (stream.visiblePositions[stream.lists.indexOf(list)] ?? 0) >= atUs;
    this.readAgain([...list.streams].filter(isUncertain));
    this.#tell(list, list.add(atUs));
  }

  readonly #onDue = (list: OpenList<LiveStream>): void => this.#tell(list, list.goTo());

  /** Tells a list's streams what it has done by itself, where their counts do not include that. What expires needs a read. */
  #tell(list: OpenList<LiveStream>, { visibleAtUs, expiresAtUs }: ListSchedule): void {
    const lastExpiryUs = expiresAtUs.at(-1) ?? 0;
    if (lastExpiryUs > 0) this.readAgain([...list.streams].filter(({ countedAtUs }) => countedAtUs < lastExpiryUs));
    if (visibleAtUs.length > 0) this.#add(list, (stream, i) => include(stream, i, visibleAtUs));
  }

  /**
   * Adds to the counts of a list's streams what is missing in each. If a count is being read, its answer may include that or not: it is
   * read again.
   */
  #add(list: OpenList<LiveStream>, missingIn: (stream: LiveStream, i: number) => number): void {
    const undecided: LiveStream[] = [];
    for (const stream of list.streams) {
      const missing = missingIn(stream, stream.lists.indexOf(list));
      if (missing === 0) continue;
      if (stream.count === undefined || this.#queries.isPending(stream)) undecided.push(stream);
      else {
        stream.count += missing;
        this.hooks.countChanged(stream);
      }
    }
    this.readAgain(undecided);
  }

  async #readCount(stream: LiveStream): Promise<void> {
    const wereChangesHeard = stream.lists.every(({ to }) => this.changes.isHeard(to));
    let answer: UnreadCount | undefined;
    try {
      answer = await this.hooks.readCount(stream);
    } catch {
      // A hook that fails is one that gives no answer: the count is read again later.
    }
    if (!stream.isOpen) return;
    if (answer) this.#use(stream, answer);
    else for (const list of stream.lists) list.putLast(stream);
    if (!answer || !wereChangesHeard) this.#unconfirmed.add(stream);
  }

  #use(stream: LiveStream, { count, nowUs, lists }: UnreadCount): void {
    // If a list has changed since it was asked for, its state may be from before: the repeated query brings the present one.
    const isCurrent = !this.#queries.isRepeated(stream);
    stream.countedAtUs = nowUs;
    stream.lastPositions = lists.map(({ lastPosition }) => lastPosition);
    stream.visiblePositions = lists.map(({ lastPosition }) => Math.max(nowUs, lastPosition));
    for (const [i, list] of stream.lists.entries()) {
      const state = lists[i];
      if (!state) continue;
      this.#tell(list, list.goTo(nowUs));
      this.#tell(list, list.comeIn(state.schedule, nowUs));
      if (isCurrent) this.#useState(list, nowUs, state);
    }
    if (stream.count === count) return;
    stream.count = count;
    this.hooks.countChanged(stream);
  }

  /**
   * Notes a list's state. If its oldest notification is a later one than before, a full list may have dropped some, which nobody tells: they
   * are still in the counts of visitors who had not read them, so these are read again.
   */
  #useState(list: OpenList<LiveStream>, nowUs: number, { schedule, oldestPosition }: ListState): void {
    this.#outdated.delete(list);
    list.renew(schedule, nowUs);
    const hasDropped = list.oldestPosition > 0 && oldestPosition > list.oldestPosition;
    list.oldestPosition = Math.max(list.oldestPosition, oldestPosition);
    if (hasDropped) this.readAgain([...list.streams].filter(({ count = 0 }) => count > 0));
  }

  #onOutdated(list: OpenList<LiveStream>): void {
    this.#outdated.add(list);
    this.#readListState(list);
  }

  /** Reads a list's state. Every stream's answer has it, so the count of any one of its streams is read. */
  #readListState(list: OpenList<LiveStream>): void {
    for (const stream of list.streams) return this.readAgain([stream]);
  }
}

/** Notes that a stream's count includes what became visible at these times, and returns how many of them it did not. */
function include({ visiblePositions }: LiveStream, i: number, visibleAtUs: readonly number[]): number {
  const included = visiblePositions[i] ?? 0;
  const missing = visibleAtUs.filter((atUs) => atUs > included);
  visiblePositions[i] = missing.at(-1) ?? included;
  return missing.length;
}

/** The name of a recipient in a map: the first letter keeps a group's apart from a visitor's. */
const nameOf = (to: Recipient): string => ('group' in to ? `g${to.group}` : `s${to.subject}`);
