import type { IncomingMessage } from 'node:http';
import type { Consents } from './consent.js';
import type { ExpressRequest } from './express-request.js';
import { synchronous } from './synchronous.js';
import { isbot } from 'isbot';
import { LRUCache } from 'lru-cache';

/** Which requests come from bots: a function of the request says it; false: none. */
export type Bots = false | ((req: ExpressRequest) => boolean);

/** How a request is treated, decided once, before its session is read. */
export interface VisitorPolicy {
  /** Are messages about the request sent, and data about its visitor kept? */
  readonly tracked: boolean;
  /**
   * Why the request is not tracked. A bot is no person; a visitor without consent is one, whose own actions may still have to
   * be kept.
   */
  readonly why: 'bot' | 'no-consent' | undefined;
  /** Is a new session stored, and its cookie set, even if it is empty (express-session's saveUninitialized)? */
  readonly stored: boolean;
}

/**
 * By user agent: is it a bot's? The answers are cached, since visitors share few user agents, and isbot() tests a long
 * expression.
 */
const isBotByAgent = new LRUCache<string, boolean>({ max: 500 });
/** A longer user agent is not cached, so that clients can't fill the memory: 500 of them take 256 kB. */
const MAX_CACHED_LENGTH = 512;

/**
 * Does the request come from a bot that says so in its user agent? A request without a user agent does not count as a bot's.
 */
export function declaredBots({ headers: { 'user-agent': agent } }: IncomingMessage): boolean {
  if (agent === undefined) return false;
  let bot = isBotByAgent.get(agent);
  if (bot === undefined) {
    bot = isbot(agent);
    if (agent.length <= MAX_CACHED_LENGTH) isBotByAgent.set(agent, bot);
  }
  return bot;
}

/** The option `bots`; for a function of it that gives a promise nobody is a bot, which is told once. */
export const checkedBots = (bots: Bots, fault: (error: Error) => void): Bots =>
  bots && synchronous('bots', bots, [false, 'nobody counts as a bot'], fault);

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
