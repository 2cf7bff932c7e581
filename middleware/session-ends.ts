import type { Store } from 'express-session';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';

/** The end of a session, as its store tells it: a store of the application's tells it before it destroys the session. */
export interface SessionEnd {
  readonly sid: string;
  /**
   * The subject whose data end with the session; undefined where they go on, as a user's do. With another store it is the
   * session's id.
   */
  readonly subject: string | undefined;
  /**
   * The subject of who had the session, a user's too; undefined where the session has expired, or its store did not have it.
   */
  readonly visitor: string | undefined;
}
type Listener = (end: SessionEnd) => void;

/** Calls `listener` for each session that ends; returns what unsubscribes it. */
export function onSessionEnd(store: Store, listener: Listener): () => void {
  if (store instanceof RedisSessionStore) {
    const ended = (sid: string, subject?: string, visitor?: string) => listener({ sid, subject, visitor });
    store.on('ended', ended);
    return () => store.off('ended', ended);
  }
  let destroys = observed.get(store);
  if (!destroys) {
    destroys = new ObservedDestroy(store);
    observed.set(store, destroys);
  }
  return destroys.subscribe(listener);
}

const observed = new WeakMap<Store, ObservedDestroy>();

/**
 * A store of the application's has no event for an end: while anybody listens, its destroy() is replaced by one that tells
 * them.
 */
class ObservedDestroy {
  readonly #listeners = new Set<Listener>();
  #restore: (() => void) | undefined;

  constructor(readonly store: Store) {}

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    this.#restore ??= this.#replace();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#restore?.();
    };
  }

  #replace(): () => void {
    const { store } = this;
    const listeners = this.#listeners;
    const ownDescriptor = Object.getOwnPropertyDescriptor(store, 'destroy');
    const { destroy } = store;
    const replacement: Store['destroy'] = function (this: Store, sid, callback) {
      if (typeof sid === 'string') {
        const end = { sid, subject: sid, visitor: sid };
        for (const listener of listeners) listener(end);
      }
      return destroy.call(this, sid, callback);
    };
    store.destroy = replacement;
    return () => {
      // Somebody else has replaced destroy() since: theirs calls ours, which tells nobody until the next subscribe().
      if (store.destroy !== replacement) return;
      if (ownDescriptor) Object.defineProperty(store, 'destroy', ownDescriptor);
      else delete (store as Partial<Store>).destroy;
      this.#restore = undefined;
    };
  }
}
