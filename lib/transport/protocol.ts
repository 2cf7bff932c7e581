import { lo, murmurHash64A } from '../hash/murmur-hash.js';
import { describeValue } from '../options/check-options.js';
import { IntelligentSessionError, OptionError } from '../errors/errors.js';
import { decodeId, encodeId, isSendable, MAX_ID_LENGTH } from '../redis/keys.js';
import { boundedTtl, MOST_TTL_SECONDS } from '../redis/expiry.js';

/** A reply that nobody fetched is gone after this. */
export const REPLY_TTL_MS = 500;
/** An inbox that nobody drains is gone after this. */
export const INBOX_TTL_MS = 5_000;
export const MAX_PAYLOAD_BYTES = 262_144;

/** Streams of the transport `stream`, where nobody says otherwise: enough for as many workers, or a Cluster's masters. */
export const DEFAULT_PARTITIONS = 16;
/** A message that waits in a stream for longer is not worked on, where nobody says otherwise. */
export const DEFAULT_MESSAGE_AGE_SECONDS = 86_400;
/** One that was published is not worked on much later than that: a worker's queue is bounded. */
export const PUBLISHED_AGE_SECONDS = 60;
/** The streams' consumer group. */
export const GROUP = 'workers';

const COMMAND = /^[a-z0-9-]{1,64}$/;
const NONCE = /^[\w-]{1,64}$/;
const INBOX = /^[\w-]{8,64}$/;
/** A command, a session's id, a request's id and two colons. */
const MOST_REQUEST_LENGTH = 64 + 2 * MAX_ID_LENGTH + 2;

const notRequest = (why: string) => new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', why);

/** What a request id says besides its id (WIRE.md, "Request id"). */
export interface RequestId {
  readonly id: string;
  /** undefined: the paper's form, a list of its own; '': nobody waits */
  readonly inbox?: string;
  /** how long somebody waits, ms from the moment at which a worker hears it: of two processes' clocks none is asked */
  readonly budgetMs?: number;
  /** what the session has left */
  readonly ttlSeconds?: number;
  /** random, and repeated in an inbox's answer: who has not heard the request can't answer it */
  readonly nonce?: string;
}

export interface Message {
  readonly command: string;
  readonly sid: string;
  readonly rid: string;
  readonly request: RequestId;
}

export function formatRequestId({ id, inbox, budgetMs, ttlSeconds, nonce }: RequestId): string {
  if (inbox === undefined) return encodeId(id);
  const ttl = ttlSeconds === undefined ? '' : boundedTtl(ttlSeconds);
  return `${encodeId(id)}@${inbox}@${budgetMs ?? ''}@${ttl}${nonce === undefined ? '' : `@${nonce}`}`;
}

export function parseRequestId(rid: string): RequestId {
  const [id = '', inbox, budget, ttl, nonce] = rid.split('@');
  const request: { -readonly [Field in keyof RequestId]: RequestId[Field] } = { id: decodeId(id) };
  if (inbox !== undefined) request.inbox = inbox;
  if (inbox && !INBOX.test(inbox)) throw notRequest('an inbox has 8 to 64 of A-Za-z0-9_-');
  if (nonce && !NONCE.test(nonce)) throw notRequest('a nonce has 1 to 64 of A-Za-z0-9_-');
  if (budget && /^\d{1,9}$/.test(budget)) request.budgetMs = Number(budget);
  if (ttl && /^[1-9]\d{0,9}$/.test(ttl)) request.ttlSeconds = Math.min(Number(ttl), MOST_TTL_SECONDS);
  if (nonce) request.nonce = nonce;
  return request;
}

export function checkCommand(command: unknown): asserts command is string {
  if (typeof command !== 'string' || !COMMAND.test(command))
    throw new OptionError(
      `A command's name is 1 to 64 of a-z 0-9 -, got ${typeof command === 'string' ? JSON.stringify(command.slice(0, 80)) : describeValue(command)}`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
}

/** A character is three bytes at most. */
const isTooLong = (payload: string): boolean =>
  payload.length > MAX_PAYLOAD_BYTES ||
  (payload.length > MAX_PAYLOAD_BYTES / 3 && Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES);

/** Refuses a payload that nobody of ours would have sent. */
export function checkPayload(payload: string): void {
  if (isTooLong(payload)) throw notRequest(`a payload is at most ${MAX_PAYLOAD_BYTES} bytes`);
}

/** A string goes as it is, anything else as JSON, once. */
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

/** What stands before every request's channel: with the database's number where it is not 0, since pub/sub knows of none. */
const channelStart = (namespace: string, db: number): string => `${namespace}ss${db === 0 ? '' : `@${db}`}:`;

/** Where a request is published. */
export const channelOf = (namespace: string, request: string, db = 0): string => channelStart(namespace, db) + request;

/** See parseRequest(). */
export function requestOf(command: string, sid: string, rid: string): string {
  // encoded it is not shorter
  const id = sid.length > MAX_ID_LENGTH ? sid : encodeId(sid);
  if (id.length === 0 || id.length > MAX_ID_LENGTH)
    throw new OptionError(`A session id has 1 to ${MAX_ID_LENGTH} characters`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return `${command}:${id}:${rid}`;
}

/** What a worker subscribes to, and an ACL has to name as it stands. */
export function patternOf(namespace: string, command: string, sessionGlob: string, db = 0): string {
  return `${channelStart(namespace, db)}${command}:${sessionGlob}:?*`;
}

export function parseChannel(namespace: string, channel: string, db = 0): Message {
  const start = channelStart(namespace, db);
  if (!channel.startsWith(start)) throw notRequest('Not a request channel');
  return parseRequest(channel.slice(start.length));
}

/**
 * `<command>:<sid>:<rid>`: a channel without its beginning, and what stands in a stream's entry. Whoever may publish can send
 * anything: what is not of the sizes and forms of WIRE.md is a coded error that repeats nothing of it.
 */
export function parseRequest(text: string): Message {
  if (text.length > MOST_REQUEST_LENGTH) throw notRequest('A request is too long');
  const [command, sid, rid, ...rest] = text.split(':');
  if (!command || !sid || !rid || rest.length > 0 || !COMMAND.test(command)) throw notRequest('Not a request');
  if (sid.length > MAX_ID_LENGTH || rid.length > MAX_ID_LENGTH)
    throw notRequest(`A session's id and a request's have at most ${MAX_ID_LENGTH} characters`);
  const message = { command, sid: decodeId(sid), rid, request: parseRequestId(rid) };
  // one that was not encoded by its sender is longer where we encode it, in keys
  if (!isSendable(message.sid))
    throw notRequest(`A session's id has at most ${MAX_ID_LENGTH} characters as it is encoded`);
  return message;
}

/** What a session's messages have in common in a stream: which partition they go through. */
export function partitionOf(sid: string, partitions: number): number {
  murmurHash64A(Buffer.from(sid), 0, 0);
  return (lo >>> 0) % partitions;
}

/** The list that answers one request (the paper's form). */
export const replyKey = (namespace: string, { command, sid, rid }: Message): string =>
  `${namespace}async:${command}:${encodeId(sid)}:${rid}`;

export const inboxKey = (namespace: string, inbox: string): string => `${namespace}async:inbox:${inbox}`;

/** Where a message's answer goes: undefined where nobody waits. */
export function answerOf(namespace: string, message: Message) {
  const { inbox, id, nonce } = message.request;
  if (inbox === '') return undefined;
  if (inbox === undefined) return { key: replyKey(namespace, message), head: '', ttlMs: REPLY_TTL_MS };
  // `id` has been through a channel, and a command's name needs no escaping
  const repeated = nonce === undefined ? '' : `"nonce":"${nonce}",`;
  const head = `{"id":${JSON.stringify(id)},"command":"${message.command}",${repeated}`;
  return { key: inboxKey(namespace, inbox), head, ttlMs: INBOX_TTL_MS };
}

/** What a worker answers where it failed; the list form has no place for an error: its asker's own timer ends the wait. */
export const errorText = (head: string, error: string): string => `${head}"error":${JSON.stringify(error)}}`;

/** An answer that is JSON, as it stands in a list. */
export const answerText = (head: string, json: string): string => (head === '' ? json : `${head}"data":${json}}`);

/** What stands in an inbox. */
export interface InboxItem {
  readonly id: string;
  readonly command: string;
  /** the request's; a worker that knows of none repeats none */
  readonly nonce?: string;
  readonly data?: unknown;
  readonly error?: string;
}
