import type { Store } from 'express-session';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';

/** A session that has ended, or is about to, as far as the store tells it. */
export interface SessionEnd {
  readonly sid: string;
  /** The subject whose data end with it. With a store of the application's it is the session's id. */
  readonly subject: string | undefined;
  /** The subject of who had it, a user's too; undefined where that is not known, or where each process hears of the end by itself. */
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

/** Another store has no event for it: while anybody listens, its destroy() is replaced by one that tells the listeners. */
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
    const own = Object.getOwnPropertyDescriptor(store, 'destroy');
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
      // Somebody else has replaced it since: theirs calls ours, which now tells nobody.
      if (store.destroy !== replacement) return;
      if (own) Object.defineProperty(store, 'destroy', own);
      else delete (store as Partial<Store>).destroy;
      this.#restore = undefined;
    };
  }
}
