import type { SessionData, Store } from 'express-session';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';

/** What a stream knows of its session. */
export interface SessionOfStream {
  readonly sid: string;
  /** When the session ends, as far as is known, ms since 1970. */
  endsAtMs: number;
}

/**
 * Makes a function that finds which sessions of streams do not exist any more. It never rejects: what can't be known now is
 * asked the next time. The package's own store looks for all of them; from another store a session is read when it should have
 * ended.
 */
export function missingSessions(store: Store): (streams: readonly SessionOfStream[]) => Promise<readonly string[]> {
  if (store instanceof RedisSessionStore)
    return async (streams) => {
      try {
        return await store.missingOf(streams.map(({ sid }) => sid));
      } catch {
        return []; // The store reports the error.
      }
    };
  return async (streams) => {
    const missing: string[] = [];
    for (const stream of streams)
      if (stream.endsAtMs <= Date.now() && (await hasEnded(store, stream))) missing.push(stream.sid);
    return missing;
  };
}

async function hasEnded(store: Store, stream: SessionOfStream): Promise<boolean> {
  const session = await new Promise<SessionData | null | undefined>((resolve, reject) => {
    store.get(stream.sid, (error, found) => {
      if (error) reject(error);
      else resolve(found ?? null);
    });
    // Stores of files give ENOENT for a session that is not there. Undefined: that can't be known now.
  }).catch((error) => (error?.code === 'ENOENT' ? null : undefined));
  if (session === undefined) return false;
  const { expires } = session?.cookie ?? {};
  if (session && expires) stream.endsAtMs = new Date(expires).getTime();
  return session === null || (expires !== undefined && expires !== null && stream.endsAtMs <= Date.now());
}
