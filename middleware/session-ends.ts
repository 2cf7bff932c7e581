import type { Store } from 'express-session';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';

type Listener = (subject: string) => void;

/**
 * Calls `listener` with the subject whose data end with a session, for each that ends, as far as the store tells it; returns what
 * unsubscribes it. With a store of the application's it is the session's id.
 */
export function onSessionEnd(store: Store, listener: Listener): () => void {
  if (store instanceof RedisSessionStore) {
    const ended = (_sid: string, subject?: string) => {
      if (subject !== undefined) listener(subject);
    };
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
      if (typeof sid === 'string') for (const listener of listeners) listener(sid);
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
