import { murmurHash64A } from '../hash/murmur-hash.js';
import { describeValue } from '../options/check-options.js';
import { IntelligentSessionError, OptionError } from '../errors/errors.js';
import { decodeId, encodeId, isSendable, MAX_ID_LENGTH } from '../redis/keys.js';
import { boundedTtl, MAX_TTL_SECONDS } from '../redis/expiry.js';

/** A list of one request expires after this where nobody fetches the answer. */
export const REPLY_TTL_MS = 500;
/** An inbox expires after this where nobody fetches answers. */
export const INBOX_TTL_MS = 5_000;
export const MAX_PAYLOAD_BYTES = 262_144;

/** How many streams the transport `stream` has by default: up to so many workers, or masters of a Cluster, can share them. */
export const DEFAULT_PARTITIONS = 16;
/** A message that has waited in a stream for longer is not worked on, by default. */
export const DEFAULT_MESSAGE_AGE_SECONDS = 86_400;
/** A message that was heard by pub/sub, or that waits in the process that sent it, is not worked on after this. */
export const PUBLISHED_AGE_SECONDS = 60;

/** How long a message may be on its way at most, ms. */
export function messageAgeMsOf(options: {
  readonly transport?: 'pubsub' | 'stream' | undefined;
  readonly maxMessageAgeSeconds?: number | undefined;
}): number {
  const { transport, maxMessageAgeSeconds = DEFAULT_MESSAGE_AGE_SECONDS } = options;
  return (transport === 'stream' ? maxMessageAgeSeconds : PUBLISHED_AGE_SECONDS) * 1000;
}

/** The streams' consumer group. */
export const GROUP = 'workers';

const COMMAND = /^[a-z0-9-]{1,64}$/;
const NONCE = /^[\w-]{1,64}$/;
const INBOX = /^[\w-]{8,64}$/;
/** Stands in the place of an inbox where the answer goes to the request's own list. */
const OWN_LIST = '-';
/** The sixth field of a request's id, where the message is about an anonymous visitor. */
const ANONYMOUS = 'a';
/** The length of a command, a session's id, a request's id and two colons. */
const MAX_REQUEST_LENGTH = 64 + 2 * MAX_ID_LENGTH + 2;

const notRequest = (why: string) => new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', why);

/** Where a request's answer goes: nowhere, since nobody waits; to a list of the request's own (the white paper's form); or to an inbox. */
export type ReplyTo = 'nobody' | 'list' | { readonly inbox: string };

/** A request's id, and its further fields (WIRE.md, "Request id"). With a list of the request's own there are mostly none. */
export interface RequestId {
  readonly id: string;
  readonly replyTo: ReplyTo;
  /** How long somebody waits, ms from when a worker hears the request, or it was added to its stream: no two machines' clocks are compared. */
  readonly budgetMs?: number;
  /** How long the session still lives. */
  readonly ttlSeconds?: number;
  /** Random, and repeated in the answer: who has not heard the request can't answer it. */
  readonly nonce?: string;
  /** Is it about an anonymous visitor whose data may be carried to a user later? */
  readonly isAnonymous?: boolean;
  /** When it was sent, at the earliest, ms since 1970 by Redis' clock: tells whether it came after an erasure. */
  readonly sentMs?: number | undefined;
}

/** A request as a worker hears it, without its payload. */
export interface Message {
  readonly command: string;
  readonly sid: string;
  /** The request's id with its further fields, as it stands on the wire. */
  readonly rid: string;
  /** The same, parsed. */
  readonly request: RequestId;
}

/** The second field of a request's id. */
function inboxField(replyTo: ReplyTo): string {
  if (replyTo === 'nobody') return '';
  return replyTo === 'list' ? OWN_LIST : replyTo.inbox;
}

export function formatRequestId(request: RequestId): string {
  const { id, replyTo, budgetMs, ttlSeconds, nonce, isAnonymous, sentMs } = request;
  const hasFields = isAnonymous || [budgetMs, ttlSeconds, nonce, sentMs].some((field) => field !== undefined);
  if (replyTo === 'list' && !hasFields) return encodeId(id);
  const ttl = ttlSeconds === undefined ? '' : boundedTtl(ttlSeconds);
  const rest = `@${nonce ?? ''}@${isAnonymous ? ANONYMOUS : ''}@${sentMs ?? ''}`.replace(/@+$/, '');
  return `${encodeId(id)}@${inboxField(replyTo)}@${budgetMs ?? ''}@${ttl}${rest}`;
}

export function parseRequestId(rid: string): RequestId {
  const [id = '', inbox, budget, ttl, nonce, kind, sent] = rid.split('@');
  const replyTo = inbox === undefined || inbox === OWN_LIST ? 'list' : inbox === '' ? 'nobody' : { inbox };
  const request: { -readonly [Field in keyof RequestId]: RequestId[Field] } = { id: decodeId(id), replyTo };
  if (inbox && inbox !== OWN_LIST && !INBOX.test(inbox)) throw notRequest('an inbox has 8 to 64 of A-Za-z0-9_-');
  if (nonce && !NONCE.test(nonce)) throw notRequest('a nonce has 1 to 64 of A-Za-z0-9_-');
  if (budget && /^\d{1,9}$/.test(budget)) request.budgetMs = Number(budget);
  if (ttl && /^[1-9]\d{0,9}$/.test(ttl)) request.ttlSeconds = Math.min(Number(ttl), MAX_TTL_SECONDS);
  if (nonce) request.nonce = nonce;
  if (kind === ANONYMOUS) request.isAnonymous = true;
  if (sent && /^[1-9]\d{0,14}$/.test(sent)) request.sentMs = Number(sent);
  return request;
}

export function checkCommand(command: unknown): asserts command is string {
  if (typeof command !== 'string' || !COMMAND.test(command))
    throw new OptionError(
      `A command's name is 1 to 64 of a-z 0-9 -, got ${typeof command === 'string' ? JSON.stringify(command.slice(0, 80)) : describeValue(command)}`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
}

/** A character of a string has three bytes of UTF-8 at most, so that most payloads need no counting. */
const isTooLong = (payload: string): boolean =>
  payload.length > MAX_PAYLOAD_BYTES ||
  (payload.length > MAX_PAYLOAD_BYTES / 3 && Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES);

/** Refuses a payload that has come from outside and is larger than formatPayload() makes any. */
export function checkPayload(payload: string): void {
  if (isTooLong(payload)) throw notRequest(`a payload is at most ${MAX_PAYLOAD_BYTES} bytes`);
}

/** The payload's text as it is sent: a string as it is, anything else as JSON. */
export function formatPayload(payload: unknown): string {
  const text = typeof payload === 'string' ? payload : jsonOf(payload);
  if (isTooLong(text))
    throw new OptionError(`A payload is at most ${MAX_PAYLOAD_BYTES} bytes`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return text;
}

function jsonOf(payload: unknown): string {
  try {
    return JSON.stringify(payload ?? null) ?? 'null';
  } catch {
    throw new OptionError(
      'A payload is a text, or what JSON can say: no BigInt, no circular reference',
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
  }
}

/** The beginning of every request's channel: with the database's number where it is not 0, since pub/sub knows of no databases. */
const channelStart = (namespace: string, db: number): string => `${namespace}ss${db === 0 ? '' : `@${db}`}:`;

/** Where a request is published. */
export const channelOf = (namespace: string, request: string, db = 0): string => channelStart(namespace, db) + request;

/** What a channel and a stream's entry say of a request: `<command>:<sid>:<rid>`, see parseRequest(). */
export function requestOf(command: string, sid: string, rid: string): string {
  // Encoding makes no id shorter, so one that is too long already is refused without the cost of encoding it.
  const id = sid.length > MAX_ID_LENGTH ? sid : encodeId(sid);
  if (id.length === 0 || id.length > MAX_ID_LENGTH)
    throw new OptionError(`A session id has 1 to ${MAX_ID_LENGTH} characters`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return `${command}:${id}:${rid}`;
}

/** The pattern that a worker subscribes to. An ACL has to name it exactly as it stands here. */
export function patternOf(namespace: string, command: string, sessionGlob: string, db = 0): string {
  return `${channelStart(namespace, db)}${command}:${sessionGlob}:?*`;
}

export function parseChannel(namespace: string, channel: string, db = 0): Message {
  const start = channelStart(namespace, db);
  if (!channel.startsWith(start)) throw notRequest('Not a request channel');
  return parseRequest(channel.slice(start.length));
}

/**
 * Reads `<command>:<sid>:<rid>`: a channel without its beginning, and the first value of a stream's entry. Whoever may publish can
 * send anything: what is not of the sizes and forms of WIRE.md is a coded error that repeats nothing of it.
 */
export function parseRequest(text: string): Message {
  if (text.length > MAX_REQUEST_LENGTH) throw notRequest('A request is too long');
  const [command, sid, rid, ...rest] = text.split(':');
  if (!command || !sid || !rid || rest.length > 0 || !COMMAND.test(command)) throw notRequest('Not a request');
  if (sid.length > MAX_ID_LENGTH || rid.length > MAX_ID_LENGTH)
    throw notRequest(`A session's id and a request's have at most ${MAX_ID_LENGTH} characters`);
  const message = { command, sid: decodeId(sid), rid, request: parseRequestId(rid) };
  // An id that its sender did not encode is longer once it is encoded, as in keys.
  if (!isSendable(message.sid))
    throw notRequest(`A session's id has at most ${MAX_ID_LENGTH} characters as it is encoded`);
  return message;
}

/** The partition of the streams that all messages of a session go through. */
export function partitionOf(sid: string, partitions: number): number {
  return murmurHash64A(Buffer.from(sid), { lo: 0, hi: 0 }).lo % partitions;
}

/** The key of the list of a request that is answered by a list of its own. */
export const replyKey = (namespace: string, { command, sid, rid }: Omit<Message, 'request'>): string =>
  `${namespace}async:${command}:${encodeId(sid)}:${rid}`;

export const inboxKey = (namespace: string, inbox: string): string => `${namespace}async:inbox:${inbox}`;

/** The list that a request's answer is pushed to. */
export interface ReplyList {
  readonly key: string;
  readonly ttlMs: number;
  /** In an inbox, the beginning of the JSON object that an answer is put into; in a request's own list it stands alone. */
  readonly head: string | undefined;
}

/** Where a message's answer goes: undefined where nobody waits. */
export function replyListOf(namespace: string, message: Message): ReplyList | undefined {
  const { replyTo, id, nonce } = message.request;
  if (replyTo === 'nobody') return undefined;
  if (replyTo === 'list') return { key: replyKey(namespace, message), ttlMs: REPLY_TTL_MS, head: undefined };
  // The id has been through a channel and may have any character; a command's name and a nonce need no escaping.
  const repeated = nonce === undefined ? '' : `"nonce":"${nonce}",`;
  const head = `{"id":${JSON.stringify(id)},"command":"${message.command}",${repeated}`;
  return { key: inboxKey(namespace, replyTo.inbox), ttlMs: INBOX_TTL_MS, head };
}

/** An answer, which is JSON, as it stands in its list. */
export const answerText = ({ head }: ReplyList, json: string): string =>
  head === undefined ? json : `${head}"data":${json}}`;

/**
 * What stands in the place of an answer where a command failed. A list of a request's own has no form for an error: undefined, and
 * the asker's own timer ends the wait.
 */
export const errorText = ({ head }: ReplyList, error: string): string | undefined =>
  head === undefined ? undefined : `${head}"error":${JSON.stringify(error)}}`;

/** An answer that stands in an inbox, once it is parsed. */
export interface InboxItem {
  readonly id: string;
  readonly command: string;
  /** The request's nonce; a worker that knows of none repeats none. */
  readonly nonce?: string;
  readonly data?: unknown;
  readonly error?: string;
}

/** Whose notifications a channel tells of: a group's, or those of one subject. */
export type Recipient = { readonly group: string } | { readonly subject: string };

/**
 * The channel where changes of a list of notifications, and of what a subject has read, are published. It has one colon fewer
 * than a request's channel, so that no worker's pattern matches it, whatever an application's commands are called.
 */
export const changesChannel = (namespace: string, to: Recipient, db = 0): string =>
  `${channelStart(namespace, db)}changes:${'group' in to ? `g.${encodeId(to.group)}` : `s.${encodeId(to.subject)}`}`;

/** What is published on such a channel. A position is when a notification is to be seen: µs since 1970. */
export type Change =
  | { readonly type: 'published' | 'scheduled'; readonly id: string; readonly position: number }
  /** a notification was edited or removed */
  | { readonly type: 'changed' }
  /** something was marked as read */
  | { readonly type: 'read' }
  /** a session has ended; it is named by a hash of its id */
  | { readonly type: 'ended'; readonly session: string };

export const formatChange = (change: Change): string => JSON.stringify(change);

/** Gives undefined for what is no change of these forms, since whoever may publish can send anything: nobody acts on it. */
export function parseChange(text: string): Change | undefined {
  if (text.length > MAX_CHANGE_LENGTH) return undefined;
  let change: Partial<Record<'type' | 'id' | 'position' | 'session', unknown>> | null;
  try {
    change = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { type, id, position, session } = change ?? {};
  if (type === 'changed' || type === 'read') return { type };
  if (type === 'ended' && typeof session === 'string') return { type, session };
  if ((type === 'published' || type === 'scheduled') && typeof id === 'string' && Number.isSafeInteger(position))
    return { type, id, position: position as number };
  return undefined;
}

const MAX_CHANGE_LENGTH = 2_048;
