/**
 * How a write of a session ended: `saved`; `gone`, the session is not there any more and nothing was written; `unreadable`,
 * what stands there can't be read and merged, and was left alone.
 */
export type SaveOutcome = 'saved' | 'gone' | 'unreadable';

/** Another value stands there than the one that was expected, and nothing was written. */
export interface Changed {
  readonly current: string;
}

/** The reply of save.lua and save-unanswered.lua: 1, 0, or the value that stands there. */
export function outcomeOf(reply: string | number): 'saved' | 'gone' | Changed {
  if (reply === 1) return 'saved';
  return reply === 0 ? 'gone' : { current: String(reply) };
}

/** A ttl of a save: the session never expires. */
export const NO_TTL = 0;
/** A ttl of a save: the session keeps the expiry that it has. */
export const KEEP_TTL = -1;
