import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OptionError } from '../lib/errors/errors.js';
import { WarnOnce } from '../lib/errors/warnings.js';
import type { Metrics } from '../lib/metrics/metrics.js';
import type { Change } from '../lib/transport/protocol.js';
import { EventStreams } from './event-streams.js';
import { type Changes, LiveCounts, LiveStream, type UnreadCount } from './live-counts.js';
import { type LiveOptions, resolveLiveOptions } from './live-options.js';
import type { IntelligentRequest, RequestContext } from './request-intelligence.js';
import type { SessionEnd } from './session-ends.js';

/** When a refused browser should try again. EventSource does not; live.js, which can't see the header, does after 5 to 10 s. */
const RETRY_AFTER_SECONDS = 30;

type Handler = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void;

/** What live notifications need of the middleware. */
export interface LiveSource {
  readonly context: RequestContext;
  /** Whose notifications a request's visitor gets. What the application's function throws goes to its error handler. */
  groupsOf(req: IntelligentRequest): readonly string[];
  /** Reads the count of a stream's visitor from Redis; undefined where there was no answer. */
  readCount(stream: LiveStream): Promise<UnreadCount | undefined>;
  readonly changes: Changes;
  /** Tells a change of a subject to all processes. */
  tell(subject: string, change: Change): void;
  /** Of these streams' sessions, the ids of those that do not exist any more. */
  missingOf(streams: readonly LiveStream[]): Promise<readonly string[]>;
  /** Stores what this package has changed in a request's session, as express-session does only when a response ends. */
  save(req: IntelligentRequest): void;
  readonly metrics: Metrics;
}

/**
 * `sessions.live()`: streams of server-sent events that say how many notifications a visitor has not read. A stream ends with
 * its session, and does not renew it.
 */
export class Live {
  /** The open streams of each handler(). */
  readonly #streams: EventStreams<LiveStream>[] = [];
  /** By the session's id. */
  readonly #streamsOf = new Map<string, LiveStream[]>();
  readonly #counts: LiveCounts;
  readonly #warnings = new WarnOnce();
  readonly #sent;
  readonly #ended;
  #isClosed = false;

  constructor(readonly source: LiveSource) {
    const { metrics } = source;
    const open = () => this.#streams.reduce((sum, { size }) => sum + size, 0);
    metrics.gauge('intelligent_session_live_streams', 'Open streams of live notifications', open);
    this.#sent = metrics.counter('intelligent_session_live_events_total', 'Counts sent to open streams').of();
    this.#ended = metrics.counter(
      'intelligent_session_live_total',
      'What became of requests for live notifications: opened, nothing, full, closed, no-session, unnamed, slow, failed',
      ['event'],
    );
    this.#counts = new LiveCounts(source.changes, {
      readCount: (stream) => source.readCount(stream),
      countChanged: (stream) => this.#send(stream),
      sessionEnded: (sidHash, streams) => this.#end([...streams].filter(({ sid }) => hashOf(sid) === sidHash)),
    });
  }

  handler(given: LiveOptions | undefined): Handler {
    const { heartbeatSeconds, maxOpen } = resolveLiveOptions(given);
    const streams = new EventStreams<LiveStream>(heartbeatSeconds * 1000, {
      closed: (stream) => this.#closed(stream),
      beat: () => this.#beat(streams),
      sent: () => this.#sent.inc(),
      cut: (why) => this.#ended.of(why).inc(),
    });
    this.#streams.push(streams);
    return (request, res, next = raise) => {
      try {
        this.#answer(request as IntelligentRequest, res, streams, maxOpen);
      } catch (error) {
        next(error);
      }
    };
  }

  /** A session has ended, or has become another user's: its streams end, in whichever process they are. */
  sessionEnded({ sid, visitor }: Pick<SessionEnd, 'sid' | 'visitor'>): void {
    this.#end(this.#streamsOf.get(sid) ?? []);
    if (visitor !== undefined && !this.#isClosed) this.source.tell(visitor, { type: 'ended', session: hashOf(sid) });
  }

  /** Changes may have been missed: each stream's count is read again, and whether its session is still there. */
  changesMissed(): void {
    for (const streams of this.#streams) {
      this.#counts.readAgain([...streams]);
      void this.#endMissing(streams);
    }
  }

  /** Changes are received from now on. */
  changesHeard(): void {
    this.#counts.readUnconfirmed();
  }

  /** Ends all streams, and refuses browsers that come back. */
  close(): void {
    this.#isClosed = true;
    for (const streams of this.#streams) streams.endAll();
  }

  #answer(req: IntelligentRequest, res: ServerResponse, streams: EventStreams<LiveStream>, maxOpen: number): void {
    const { source } = this;
    const { intelligence } = req;
    if (intelligence?.context !== source.context) throw new OptionError(ORDER, 'ERR_INTELLIGENT_SESSION_ORDER');
    const { policy } = intelligence;
    if (!policy.tracked) return this.#answerNothing(res);
    if (!req.session) return this.#refuse(res, 'no-session');
    const visitor = source.context.trackedSession(req, policy);
    if (!visitor && source.context.subjects?.lacksSubject(req)) return this.#refuse(res, 'unnamed');
    if (!visitor?.returning) return this.#answerNothing(res);
    const groups = source.groupsOf(req);
    if (this.#isClosed) return this.#refuse(res, 'closed');
    if (streams.size >= maxOpen) {
      this.#warnings.warn(
        'INTELLIGENT_SESSION_LIVE_FULL',
        `${maxOpen} streams of live notifications are open, and more are refused (status 503): raise "maxOpen" of live(), or start ` +
          'more processes',
        'full',
      );
      return this.#refuse(res, 'full');
    }
    intelligence.markAsStream();
    source.save(req);
    const stream = new LiveStream(res, req.session.id, visitor, groups);
    if (!streams.open(stream, req.method === 'HEAD')) return;
    this.#ended.of('opened').inc();
    const others = this.#streamsOf.get(stream.sid);
    if (others) others.push(stream);
    else this.#streamsOf.set(stream.sid, [stream]);
    this.#counts.open(stream);
  }

  /** 204 tells a browser's EventSource not to come back. */
  #answerNothing(res: ServerResponse): void {
    this.#ended.of('nothing').inc();
    answer(res, 204);
  }

  #refuse(res: ServerResponse, why: 'full' | 'closed' | 'no-session' | 'unnamed'): void {
    this.#ended.of(why).inc();
    res.setHeader('Retry-After', RETRY_AFTER_SECONDS);
    answer(res, 503);
  }

  /** A stream is in one of #streams; the others ignore it. */
  #send(stream: LiveStream): void {
    for (const streams of this.#streams) streams.send(stream, 'unread', { count: stream.count });
  }

  #end(ending: readonly LiveStream[]): void {
    for (const stream of [...ending]) for (const streams of this.#streams) streams.end(stream);
  }

  #closed(stream: LiveStream): void {
    const others = this.#streamsOf.get(stream.sid)?.filter((other) => other !== stream) ?? [];
    if (others.length === 0) this.#streamsOf.delete(stream.sid);
    else this.#streamsOf.set(stream.sid, others);
    this.#counts.close(stream);
  }

  #beat(streams: EventStreams<LiveStream>): void {
    this.#counts.readUnconfirmed();
    void this.#endMissing(streams);
  }

  /** Ends the streams of sessions that have expired, or whose end nobody could tell. */
  async #endMissing(streams: EventStreams<LiveStream>): Promise<void> {
    const missing = await this.source.missingOf([...streams]);
    for (const sid of missing) this.#end(this.#streamsOf.get(sid) ?? []);
  }
}

const ORDER =
  'live() comes before intelligentSession(), or after another one: put it behind app.use(sessions) of the same sessions';

/** Names a session in a message without its id, which gives access to it. 16 characters are 96 bits. */
const hashOf = (sid: string): string => createHash('sha256').update(sid).digest('base64url').slice(0, 16);

function answer(res: ServerResponse, status: number): void {
  res.setHeader('Cache-Control', 'no-store');
  res.statusCode = status;
  res.end();
}

function raise(error: unknown): void {
  throw error;
}
