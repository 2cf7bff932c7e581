import type { InboxItem } from '../protocol.js';

/** What an answer must agree with. */
export interface Expected {
  readonly command: string;
  /** what the request said; undefined with a list a request, whose name nobody else's answer has */
  readonly nonce?: string | undefined;
}

const isBit = (value: unknown): boolean => value === 0 || value === 1;
const isNumber = (value: unknown): boolean => typeof value === 'number';
const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
const isListOf = (is: (value: unknown) => boolean) => (data: unknown) => Array.isArray(data) && data.every(is);

function isReport(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  const { totalPages, uniquePages, previouslyVisited, activityThisMinute, activity, newToSite, inactive } =
    data as Record<string, unknown>;
  return (
    [totalPages, uniquePages].every(isNumber) &&
    [previouslyVisited, activityThisMinute, newToSite, inactive].every(isBoolean) &&
    isListOf(isBit)(activity)
  );
}

const isSeen = (value: unknown): boolean => {
  const { id, seen } = (value ?? {}) as { id?: unknown; seen?: unknown };
  return typeof id === 'string' && isBoolean(seen);
};

/** The shapes of the built-in commands' answers (WIRE.md, "Commands"). */
const shapes: ReadonlyMap<string, (data: unknown) => boolean> = new Map(
  Object.entries({
    pageview: isReport,
    combo: isBit,
    featuredpages: isListOf((page) => typeof page === 'string'),
    notifications: isListOf(isSeen),
    'mark-notification-seen': isBit,
    activity: isListOf(isBit),
  }),
);

/** Decides whether what came to an inbox answers a request: whoever may publish can make a worker answer there. */
export class AnswerCheck {
  /** Does a worker repeat nonces? From then on every answer must; until then it may be an older one's, that knows of none. */
  #required = false;

  belongs(item: InboxItem, { command, nonce }: Expected): boolean {
    if (item.command !== command) return false;
    if (nonce !== undefined && item.nonce !== nonce && (item.nonce !== undefined || this.#required)) return false;
    if (item.error !== undefined) return typeof item.error === 'string';
    const { data = null } = item;
    if (data !== null && shapes.get(command)?.(data) === false) return false;
    this.#required ||= item.nonce !== undefined;
    return true;
  }
}
