import { IntelligentSessionError } from '../../errors/errors.js';
import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { REPLY_TTL_MS, type ReplyList } from '../protocol.js';
import { Undrained } from './undrained.js';

/** What PTTL answers of a key that is not there. */
const NO_KEY = -2;
/**
 * The answers, and their characters, of one call at most: none holds Redis for long. Lua's unpack() takes some 8,000 values.
 */
const MAX_ANSWERS = 1_000;
const MAX_CHARACTERS = 262_144;
const script = new Script<string | number>(
  `local REPLY_TTL_MS = ${REPLY_TTL_MS}
${loadScript('lib/transport/replies/push-answers.lua')}
local wrong, before = push_answers(KEYS[1], tonumber(ARGV[1]), { unpack(ARGV, 2) })
return wrong or before`,
);

/** Pushes the answers that no command's script pushes: those of one turn of the event loop go to each list in one RPUSH. */
export class Replies {
  /** Bounds the bytes of answers that nobody fetches. It asks by PTTL, to which the scripts need a right anyway. */
  readonly undrained = new Undrained(async (key) => (await this.client.pttl(key)) !== NO_KEY);
  /** The answers that are to be pushed at the end of this turn, by their list's key. */
  readonly #waiting = new Map<string, { readonly texts: string[]; readonly ttlMs: number }>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: RedisClient,
    readonly onFault: (error: unknown) => void,
  ) {}

  push({ key, ttlMs }: Pick<ReplyList, 'key' | 'ttlMs'>, text: string): void {
    const bytes = Buffer.byteLength(text);
    if (!this.undrained.allows(key, ttlMs, bytes)) return this.onFault(unpushed(TOO_MUCH));
    this.undrained.sending += bytes;
    const list = this.#waiting.get(key);
    if (list) list.texts.push(text);
    else this.#waiting.set(key, { texts: [text], ttlMs });
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Sends what waits, without waiting for the end of the turn. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const [key, { texts, ttlMs }] of this.#waiting)
      for (const batch of batchesOf(texts)) void this.#send(key, ttlMs, batch);
    this.#waiting.clear();
  }

  async #send(key: string, ttlMs: number, texts: readonly string[]): Promise<void> {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    try {
      /** How many answers the list had before, or why nothing was pushed. */
      const reply = await script.run(this.client, [key, ttlMs, ...texts]);
      if (typeof reply === 'string') this.onFault(unpushed(reply));
      else this.undrained.pushed(key, ttlMs, reply, texts.length, bytes);
    } catch (error) {
      this.onFault(error);
    } finally {
      this.undrained.sending -= bytes;
    }
  }
}

/** Why an answer is not pushed where Undrained does not allow it. */
export const TOO_MUCH = 'too much lies in lists that nobody fetches answers from';

/** The error that tells why an answer was not pushed: mostly since a message names somebody else's list. */
export const unpushed = (why: string): IntelligentSessionError =>
  new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `An answer was not pushed: ${why}`);

function* batchesOf(texts: readonly string[]): Generator<readonly string[]> {
  let batch: string[] = [];
  let characters = 0;
  for (const text of texts) {
    if (batch.length > 0 && (batch.length >= MAX_ANSWERS || characters + text.length > MAX_CHARACTERS)) {
      yield batch;
      [batch, characters] = [[], 0];
    }
    batch.push(text);
    characters += text.length;
  }
  if (batch.length > 0) yield batch;
}
