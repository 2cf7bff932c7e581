import { keyPrefixOf } from '../redis/connect.js';
import type { RedisTarget } from '../redis/target.js';
import { SessionRemover } from './destroy-session.js';
import { KeyedMutex } from './keyed-mutex.js';
import { Lifetimes } from './lifetimes.js';
import type { resolveStoreOptions } from './options.js';
import { SessionSaver } from './save-session.js';
import { SessionCodec } from './session-codec.js';
import { SessionKeys } from './session-keys.js';
import { SessionOwners } from './session-owners.js';
import { SessionRecords } from './session-records.js';
import { SessionRotation } from './session-rotation.js';
import { SessionSubjects } from './session-subjects.js';
import { userOfSession } from './session-user.js';
import { SessionStates } from './snapshot.js';
import type { StoreCalls } from './store-calls.js';
import type { StoreEvents } from './store-events.js';
import { SessionToucher } from './touch-session.js';
import { TouchThrottle } from './touch-throttle.js';
import { SessionWriter } from './write-session.js';

/** Makes and connects what does a store's work: the records in Redis, whose they are, and the operations on sessions. */
export function assembleStore(
  options: ReturnType<typeof resolveStoreOptions>,
  target: RedisTarget,
  calls: StoreCalls,
  events: StoreEvents,
) {
  const onMistake = (what: string) => events.applicationMistake(what);
  const keys = new SessionKeys(keyPrefixOf(options.redis), options.prefix);
  const codec = new SessionCodec(options, keys.prefix, onMistake);
  const userOf = userOfSession(options.user, onMistake);
  const lifetimes = new Lifetimes(options, onMistake);
  const states = new SessionStates();
  const onOver = (sid: string) => calls.runInBackground(() => remover.destroy(sid));
  const records = new SessionRecords(target, keys, codec, states, userOf, lifetimes, onOver, events, options);
  const owners = new SessionOwners(records, lifetimes, options);
  const rotation = new SessionRotation(records, owners, lifetimes, options);
  const throttle = new TouchThrottle();
  // by session id: destroy() waits for the first save of a session
  const firstSaves = new KeyedMutex();
  const subjects = new SessionSubjects();
  const hasUsers = options.user !== undefined;
  const remover = new SessionRemover(records, owners, throttle, firstSaves, calls, hasUsers, subjects);
  const toucher = new SessionToucher(records, owners, lifetimes, throttle, remover, options);
  const writer = new SessionWriter(records, lifetimes, options, (sid) => events.sessionEvent('conflict', sid));
  const layers = { records, writer, owners, lifetimes, throttle, remover, rotation, firstSaves, calls };
  const saver = new SessionSaver(layers, options);
  return { keys, lifetimes, states, records, owners, subjects, rotation, remover, toucher, saver };
}
