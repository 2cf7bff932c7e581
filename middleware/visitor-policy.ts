import type { IncomingMessage } from 'node:http';
import type { Consents } from './consent.js';
import type { ExpressRequest } from './express-request.js';
import { isbot } from 'isbot';
import { LRUCache } from 'lru-cache';

/** Which requests are a bot's: a function of the request, or false: none. */
export type Bots = false | ((req: ExpressRequest) => boolean);

/** How a request is treated, decided once, before its session is read. */
export interface VisitorPolicy {
  /** Is anything sent for it, and kept? */
  readonly tracked: boolean;
  /** Why it is not tracked. A bot is nobody; who gives no consent is a person, whose own acts may still have to be kept. */
  readonly why: 'bot' | 'no-consent' | undefined;
  /** Is a session stored, and its cookie set, that holds nothing (express-session's saveUninitialized)? */
  readonly stored: boolean;
}

/** Remembered, since visitors share a few user agents, and the list of bots is one long regular expression. */
const known = new LRUCache<string, boolean>({ max: 500 });
const LONGEST_KNOWN = 512;

/** Finds bots that say so in their user agent. A request without one says nothing, and is not taken for a bot's. */
export function declaredBots({ headers: { 'user-agent': agent } }: IncomingMessage): boolean {
  if (agent === undefined) return false;
  let bot = known.get(agent);
  if (bot === undefined) {
    bot = isbot(agent);
    if (agent.length <= LONGEST_KNOWN) known.set(agent, bot);
  }
  return bot;
}

export function policyOf(
  bots: Bots,
  consents: Consents,
  saveUninitialized: boolean,
  req: IncomingMessage,
): VisitorPolicy {
  const isBot = bots !== false && bots(req as ExpressRequest);
  const why = isBot ? 'bot' : consents(req) ? undefined : 'no-consent';
  return { tracked: why === undefined, why, stored: saveUninitialized && why === undefined };
}
