import { IntelligentSessionError } from '../errors.js';
import type { RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

/** In one call at most, so that none holds Redis for long: answers (Lua's unpack() takes some 8,000), and characters. */
const MOST_ANSWERS = 1_000;
const MOST_CHARACTERS = 262_144;
const script = new Script<string | null>(
  `${loadScript('lib/worker/push-answers.lua')}
return push_answers(KEYS[1], tonumber(ARGV[1]), { unpack(ARGV, 2) })`,
);

/** Pushes answers that no script pushes itself: what is answered in one turn of the event loop goes to each list in one RPUSH. */
export class Replies {
  readonly #waiting = new Map<string, { readonly texts: string[]; readonly ttlMs: number }>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: RedisClient,
    readonly onFault: (error: unknown) => void,
  ) {}

  push({ key, ttlMs }: { key: string; ttlMs: number }, text: string): void {
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
        const pushed = script.run(this.client, [key, ttlMs, ...some]);
        pushed.then((wrong) => wrong && this.onFault(unpushed(wrong))).catch(this.onFault);
      }
    }
    this.#waiting.clear();
  }
}

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
