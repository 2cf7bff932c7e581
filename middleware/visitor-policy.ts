import type { IncomingMessage } from 'node:http';
import type { ExpressRequest } from './express-request.js';
import { isbot } from 'isbot';
import { LRUCache } from 'lru-cache';

/** Which requests are a bot's: a function of the request, or false: none. */
export type Bots = false | ((req: ExpressRequest) => boolean);

/** How a request is treated, decided once, before its session is read. */
export interface VisitorPolicy {
  /** is anything of the intelligence sent for it? */
  readonly tracked: boolean;
  /** is a session stored that holds nothing, with its cookie (express-session's saveUninitialized)? */
  readonly stored: boolean;
}

/** Visitors share a few user agents, and the list of bots is one long regular expression. */
const known = new LRUCache<string, boolean>({ max: 500 });
const LONGEST_KNOWN = 512;

/** Bots that say so in their user agent. A request without one says nothing, and is not taken for a bot's. */
export function declaredBots({ headers: { 'user-agent': agent } }: IncomingMessage): boolean {
  if (agent === undefined) return false;
  let bot = known.get(agent);
  if (bot === undefined) {
    bot = isbot(agent);
    if (agent.length <= LONGEST_KNOWN) known.set(agent, bot);
  }
  return bot;
}

export function policyOf(bots: Bots, saveUninitialized: boolean, req: IncomingMessage): VisitorPolicy {
  const isBot = bots !== false && bots(req as ExpressRequest);
  return { tracked: !isBot, stored: saveUninitialized && !isBot };
}
