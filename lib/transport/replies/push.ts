import { IntelligentSessionError } from '../../errors/errors.js';
import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { Undrained } from './undrained.js';

/** PTTL of what is not there. */
const GONE = -2;
/** In one call at most, so that none holds Redis for long: answers (Lua's unpack() takes some 8,000), and characters. */
const MOST_ANSWERS = 1_000;
const MOST_CHARACTERS = 262_144;
const script = new Script<string | number>(
  `${loadScript('lib/transport/replies/push-answers.lua')}
local wrong, before = push_answers(KEYS[1], tonumber(ARGV[1]), { unpack(ARGV, 2) })
return wrong or before`,
);

/** Pushes answers that no script pushes itself: what is answered in one turn of the event loop goes to each list in one RPUSH. */
export class Replies {
  // PTTL is what the scripts ask of these lists, too: a worker's account needs no further right
  readonly undrained = new Undrained(async (key) => (await this.client.pttl(key)) !== GONE);
  readonly #waiting = new Map<string, { readonly texts: string[]; readonly ttlMs: number }>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: RedisClient,
    readonly onFault: (error: unknown) => void,
  ) {}

  push({ key, ttlMs }: { key: string; ttlMs: number }, text: string): void {
    const bytes = Buffer.byteLength(text);
    if (!this.undrained.allows(key, ttlMs, bytes)) return this.onFault(unpushed(TOO_MUCH));
    this.undrained.sending += bytes;
    const list = this.#waiting.get(key);
    if (list) list.texts.push(text);
    else this.#waiting.set(key, { texts: [text], ttlMs });
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const [key, { texts, ttlMs }] of this.#waiting) {
      for (const some of inCalls(texts)) {
        const bytes = some.reduce((all, text) => all + Buffer.byteLength(text), 0);
        const pushed = script.run(this.client, [key, ttlMs, ...some]);
        pushed
          .then((before) => {
            if (typeof before === 'string') this.onFault(unpushed(before));
            else this.undrained.pushed(key, ttlMs, before, some.length, bytes);
          })
          .catch(this.onFault)
          .finally(() => {
            this.undrained.sending -= bytes;
          });
      }
    }
    this.#waiting.clear();
  }
}

/** See Undrained. */
export const TOO_MUCH = 'too much lies in lists that nobody fetches answers from';

/** Why an answer was not pushed: mostly a message that names somebody else's list. */
export const unpushed = (why: string): IntelligentSessionError =>
  new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `An answer was not pushed: ${why}`);

function* inCalls(texts: readonly string[]): Generator<readonly string[]> {
  let some: string[] = [];
  let length = 0;
  for (const text of texts) {
    if (some.length > 0 && (some.length >= MOST_ANSWERS || length + text.length > MOST_CHARACTERS)) {
      yield some;
      [some, length] = [[], 0];
    }
    some.push(text);
    length += text.length;
  }
  if (some.length > 0) yield some;
}
