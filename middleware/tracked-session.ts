import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../lib/errors/errors.js';
import { subjectOfSession } from '../lib/session/hidden-fields.js';
import type { RedisSessionStore } from '../lib/session/redis-session-store.js';
import type { RequestWithSession } from '../lib/session/session-subjects.js';
import type { TrackedSession } from './intelligence.js';
import type { IntelligentRequest } from './request-intelligence.js';
import type { Subjects } from './subjects.js';
import type { VisitorPolicy } from './visitor-policy.js';

/** How long a session's data live at most until its cookie has come back, in seconds. */
const NEW_SESSION_TTL = 600;
/** How long they live where neither the store nor the cookie says, in seconds. */
const DEFAULT_TTL = 86_400;
const NO_TEXT = 'option "session.genid" gives no text: no cookie is set, and nothing is known of visitors';

/** Finds the subject of a session's data, and how long they live; undefined where the session has ended, or has no subject. */
export type TrackSession = (req: RequestWithSession, returning: boolean) => TrackedSession | undefined;

export function trackSession(
  /** The package's own store, which knows how long a session lives; undefined where the application has another. */
  store: RedisSessionStore | undefined,
  /** Undefined where the application has no users: all data are the session's then. */
  subjects: Subjects | undefined,
): TrackSession {
  return (req, returning) => {
    const ttlSeconds = store?.ttlSeconds(req.session, returning) ?? secondsLeft(req.session, returning);
    if (ttlSeconds <= 0) return undefined;
    if (!subjects) return { subject: subjectOfSession(req.session), isAnonymous: false, ttlSeconds, returning };
    const subject = subjects.of(req);
    if (subject?.isAnonymous) return { ...subject, ttlSeconds, returning };
    return subject && { ...subject, ttlSeconds: subjects.userTtlSeconds, returning };
  };
}

/**
 * Makes a function that finds whom a request tracks. A session that is not stored tracks nobody: express-session makes another
 * one for the visitor's next request.
 */
export function trackedSessions(
  track: TrackSession,
  /** The package's own store, which knows under which id a cookie came; undefined where the application has another. */
  store: RedisSessionStore | undefined,
  fault: (error: Error) => void,
): (req: IntelligentRequest, policy: VisitorPolicy) => TrackedSession | undefined {
  let isGenidReported = false;
  return (req, { stored }) => {
    if (!req.session) return undefined;
    // express-session sends no cookie for an id that is no text.
    if (typeof req.session.id !== 'string' || req.session.id === '') {
      if (!isGenidReported) fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', NO_TEXT));
      isGenidReported = true;
      return undefined;
    }
    const returning = cookieCameBack(req, store?.cookieIdOf(req.session) ?? req.sessionID);
    if (!returning && !stored) return undefined;
    return track(req, returning);
  };
}

/** Finds the user who is logged in on a request that is not tracked. Unlike trackSession(), it carries no data to the user. */
export function actingUsers(subjects: Subjects | undefined): (req: RequestWithSession) => TrackedSession | undefined {
  return (req) => {
    const user = subjects?.userOf(req);
    return user && { ...user, ttlSeconds: (subjects as Subjects).userTtlSeconds, returning: true };
  };
}

/** To find the id's text is enough: express-session has checked the signature, and no cookie holds the id of a new session. */
function cookieCameBack(req: IntelligentRequest, sid: string): boolean {
  return req.headers.cookie?.includes(encodeURIComponent(sid)) ?? false;
}

function secondsLeft({ cookie }: SessionData, returning: boolean): number {
  const left = cookie.expires ? Math.ceil((new Date(cookie.expires).getTime() - Date.now()) / 1000) : DEFAULT_TTL;
  return returning ? left : Math.min(left, NEW_SESSION_TTL);
}
