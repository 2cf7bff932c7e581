import type { SessionOptions } from 'express-session';
import { argumentError, checkText, optionsOf } from '../lib/options/check-arguments.js';
import type { IntelligenceContext } from './intelligence.js';
import { checkGroups } from './notification-groups.js';
import { sessionIdReader } from './session-cookie.js';
import { type SessionSource, SessionVisitor } from './session-visitor.js';
import { User, type Visitor } from './visitor.js';
import { VisitorIntelligence } from './visitor-intelligence.js';

/**
 * Whom `sessions.of()` is about: the visitor of a session, by its id or by the text of a Cookie header, whose signature is
 * checked (undefined: no cookie came); or a user, by the id that the option `user` gives or identify() was given.
 */
export type Who =
  { readonly sid: string } | { readonly cookie: string | undefined } | { readonly user: string | number | bigint };

/** Makes the function `sessions.of()`. */
export function visitorFinder(
  context: IntelligenceContext,
  source: SessionSource,
  sessionOptions: SessionOptions,
): (who: Who, options?: { groups?: readonly string[] | undefined }) => VisitorIntelligence {
  const sessionIdOf = sessionIdReader(sessionOptions);
  // By the property of `Who` that is given.
  const finders: Readonly<Record<string, (given: unknown) => Visitor>> = {
    sid(sid) {
      checkText('of', sid, '"sid" to be a session\'s id');
      return new SessionVisitor(context, source, sid);
    },
    cookie(text) {
      if (text !== undefined && typeof text !== 'string')
        throw argumentError('of', '"cookie" to be the text of a Cookie header, or undefined', text);
      return new SessionVisitor(context, source, text && sessionIdOf(text));
    },
    user(id) {
      if (!context.subjects)
        throw argumentError('of', 'option `user` of intelligentSession(), which "user" needs', undefined);
      return new User(context, context.subjects, id);
    },
  };
  return (who, options) => {
    const { groups = [] } = optionsOf('of', options);
    const [entry, ...others] = Object.entries(who ?? {});
    const [name, given] = entry ?? ['', undefined];
    const find = Object.hasOwn(finders, name) && others.length === 0 ? finders[name] : undefined;
    if (!find) throw argumentError('of', 'one of { sid }, { user } and { cookie }', who);
    return new VisitorIntelligence(context, find(given), checkGroups(groups));
  };
}
