import { argumentError } from '../options/check-arguments.js';
import { besideKey, endedPrefix, sessionKey, userSessionsPrefix } from '../redis/keys.js';

/** The keys of one store. A prefix of the client's (ioredis' `keyPrefix`) is part of them. */
export class SessionKeys {
  /** stands before a session's id */
  readonly prefix: string;
  /** stands before a user, in the key of the user's sessions */
  readonly usersPrefix: string;
  /** stands before the key of a session, or of a user's sessions, in a key that says they ended */
  readonly endedPrefix: string;

  constructor(keyPrefix: string, prefix: string) {
    this.prefix = keyPrefix + prefix;
    this.usersPrefix = keyPrefix + userSessionsPrefix(prefix);
    this.endedPrefix = endedPrefix(keyPrefix);
  }

  /** The key of a session. */
  of(sid: string): string {
    // of all that an application may pass, only a symbol can't be put into a text
    if (typeof sid === 'symbol') throw argumentError('A method of RedisSessionStore', "a session's id, a text", sid);
    return sessionKey(this.prefix, sid);
  }

  sidOf(key: string): string {
    return key.slice(this.prefix.length);
  }

  /** The key that says for a while that the session was destroyed. */
  tombstoneOf(sid: string): string {
    return besideKey(this.endedPrefix, this.of(sid));
  }

  /** Is this the key of a session? A store's other keys may begin as its sessions' keys do. */
  isSession(key: string): boolean {
    return (
      key.startsWith(this.prefix) &&
      !key.startsWith(this.usersPrefix) &&
      (this.prefix.startsWith(this.endedPrefix) || !key.startsWith(this.endedPrefix))
    );
  }

  /** Is this the key of a user's sessions? With one more colon it is of a store with a longer prefix. */
  isUser(key: string): boolean {
    return key.startsWith(this.usersPrefix) && !key.slice(this.usersPrefix.length).includes(':');
  }
}
