import type { IncomingMessage, ServerResponse } from 'node:http';
import { OptionError } from '../lib/errors/errors.js';
import type { RequestIntelligence } from './request-intelligence.js';

/** What load() can ask for, and what a page gets under that name in `res.locals`. */
const questions = {
  pageview: (intelligence: RequestIntelligence) => intelligence.pageview(),
  activity: (intelligence: RequestIntelligence) => intelligence.activity(),
  suggestions: (intelligence: RequestIntelligence) => intelligence.suggestions(),
  notifications: (intelligence: RequestIntelligence) => intelligence.notifications(),
  unread: (intelligence: RequestIntelligence) => intelligence.unread(),
} as const;

export type Loaded = keyof typeof questions;

type Handler = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Makes a handler that asks for all of these at once, so that they take the time of one round trip, and puts the answers into
 * `res.locals` under their names; routes without the handler wait for nothing. A degraded answer is what the method itself
 * gives.
 */
export function load(names: readonly Loaded[], hasNotifications: boolean): Handler {
  for (const name of names) {
    if (!Object.hasOwn(questions, name))
      throw new OptionError(
        `load(): expected ${Object.keys(questions).join(', ')}, got ${JSON.stringify(String(name).slice(0, 40))}`,
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    if ((name === 'unread' || name === 'notifications') && !hasNotifications)
      throw new OptionError(
        `load(): "${name}" needs the option \`notifications: { groups }\` of intelligentSession()`,
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
  }
  return (req, res, next) => {
    const { intelligence } = req as IncomingMessage & { intelligence?: RequestIntelligence };
    if (!intelligence) return next(new OptionError('load(): app.use(intelligentSession()) has to come before it'));
    const response = res as ServerResponse & { locals?: Record<string, unknown> };
    response.locals ??= {}; // Express makes it, plain node:http does not.
    const { locals } = response;
    Promise.all(
      names.map(async (name) => {
        locals[name] = await questions[name](intelligence);
      }),
    ).then(() => next(), next);
  };
}
