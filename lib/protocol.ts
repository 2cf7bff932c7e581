import { IntelligentSessionError, OptionError } from './errors.js';
import { decodeId, encodeId, MAX_ID_LENGTH } from './keys.js';

/** A reply that nobody fetched is gone after this. */
export const REPLY_TTL_MS = 500;
/** An inbox that nobody drains is gone after this. */
export const INBOX_TTL_MS = 5_000;
export const MAX_PAYLOAD_BYTES = 262_144;

const COMMAND = /^[a-z0-9-]{1,64}$/;

/** What a request id says besides its id (WIRE.md, "Request id"). */
export interface RequestId {
  readonly id: string;
  /** undefined: the paper's form, a list of its own; '': nobody waits */
  readonly inbox?: string;
  /** until when somebody waits, ms by Redis' clock */
  readonly deadlineMs?: number;
  /** what the session has left */
  readonly ttlSeconds?: number;
}

export interface Message {
  readonly command: string;
  readonly sid: string;
  readonly rid: string;
  readonly request: RequestId;
}

export function formatRequestId({ id, inbox, deadlineMs, ttlSeconds }: RequestId): string {
  if (inbox === undefined) return encodeId(id);
  return `${encodeId(id)}@${inbox}@${deadlineMs ?? ''}@${ttlSeconds ?? ''}`;
}

export function parseRequestId(rid: string): RequestId {
  const [id = '', inbox, deadline, ttl] = rid.split('@');
  return {
    id: decodeId(id),
    ...(inbox !== undefined && { inbox }),
    ...(/^\d{1,15}$/.test(deadline ?? '') && { deadlineMs: Number(deadline) }),
    ...(/^[1-9]\d{0,9}$/.test(ttl ?? '') && { ttlSeconds: Number(ttl) }),
  };
}

export function checkCommand(command: unknown): asserts command is string {
  if (typeof command !== 'string' || !COMMAND.test(command))
    throw new OptionError(
      `A command's name is 1 to 64 of a-z 0-9 -, got ${JSON.stringify(command)?.slice(0, 80)}`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
}

/** A string goes as it is, anything else as JSON, once. */
export function formatPayload(payload: unknown): string {
  const text = typeof payload === 'string' ? payload : (JSON.stringify(payload ?? null) ?? 'null');
  if (Buffer.byteLength(text) > MAX_PAYLOAD_BYTES)
    throw new OptionError(`A payload is at most ${MAX_PAYLOAD_BYTES} bytes`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return text;
}

export function channelOf(namespace: string, command: string, sid: string, rid: string): string {
  const id = encodeId(sid);
  if (id.length === 0 || id.length > MAX_ID_LENGTH)
    throw new OptionError(`A session id has 1 to ${MAX_ID_LENGTH} characters`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return `${namespace}ss:${command}:${id}:${rid}`;
}

export function patternOf(namespace: string, command: string, sessionGlob: string): string {
  return `${namespace}ss:${command}:${sessionGlob}:?*`;
}

export function parseChannel(namespace: string, channel: string): Message {
  const [ss, command, sid, rid, ...rest] = channel.slice(namespace.length).split(':');
  if (!channel.startsWith(namespace) || ss !== 'ss' || !command || !sid || !rid || rest.length > 0)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'Not a request channel');
  return { command, sid: decodeId(sid), rid, request: parseRequestId(rid) };
}

/** The list that answers one request (the paper's form). */
export const replyKey = (namespace: string, { command, sid, rid }: Message): string =>
  `${namespace}async:${command}:${encodeId(sid)}:${rid}`;

export const inboxKey = (namespace: string, inbox: string): string => `${namespace}async:inbox:${inbox}`;

/** What stands in an inbox. */
export interface InboxItem {
  readonly id: string;
  readonly command: string;
  readonly data?: unknown;
  readonly error?: string;
}

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'the payload is not JSON');
  }
}

/** A payload that is a JSON array of strings, or a coded error. */
export function parseStrings(payload: string): string[] {
  const list = parseJson(payload);
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'expected an array of strings');
  return list;
}
