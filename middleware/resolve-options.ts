import type { Store } from 'express-session';
import { checkOptions, describeValue } from '../lib/options/check-options.js';
import { elsewhereInStore, elsewhereOfMiddleware } from '../lib/options/misplaced-options.js';
import { OptionError } from '../lib/errors/errors.js';
import { namespaceOf } from '../lib/redis/connect.js';
import { resolveRedis } from '../lib/redis/redis-option.js';
import { checkReplies } from '../lib/serving/remote-executor-options.js';
import { resolveCommands } from '../lib/worker/commands-option.js';
import { MAX_QUEUE_BYTES } from '../lib/worker/shared-options.js';
import { checkSecret, checkUsersAreKeyed } from './check-secret.js';
import type { IntelligentSessionOptions, StoreOptions } from './intelligent-session-options.js';
import { schema } from './options.js';

const CALLER = 'intelligentSession()';

/** Options with their defaults, checked: whatever is wrong is an error before anything is connected. */
export function resolveOptions(options: IntelligentSessionOptions) {
  const checked = checkOptions(schema, options, CALLER, elsewhereOfMiddleware);
  const { commands, commandTimeoutMs, maxQueue, bloom, errorRate, capacity, expansion, activityDays, ...others } =
    checked;
  const { client: _client, url: _url, timeout: timeoutMs, ...resolved } = others;
  // For a LocalExecutor.
  const local = {
    ...{ commandTimeoutMs, maxQueue, bloom, errorRate, capacity, expansion, activityDays },
    commands: resolveCommands(commands, CALLER),
    maxQueueBytes: MAX_QUEUE_BYTES,
  };
  const redis = resolveRedis(checked, CALLER);
  namespaceOf(redis, resolved.namespace);
  checkReplies(redis, resolved.replies);
  const store = storeOf(resolved.store);
  if (resolved.user && isStore(store))
    throw new OptionError(
      `${CALLER}: option "user" needs the package's own store, which keeps with a session whose data are its visitor's: leave "store" ` +
        'out, or give it options',
    );
  if (options?.keepUsersForDays !== undefined && resolved.user === undefined)
    throw new OptionError(`${CALLER}: option "keepUsersForDays" needs option "user"`);
  if (resolved.rotateEvery !== undefined && isStore(store))
    throw new OptionError(
      `${CALLER}: option "rotateEvery" needs the package's own store, which moves a session to its new id: leave "store" out, or give it ` +
        'options',
    );
  if (options?.rotateGrace !== undefined && resolved.rotateEvery === undefined)
    throw new OptionError(`${CALLER}: option "rotateGrace" needs option "rotateEvery"`);
  if (resolved.rotateGrace > (resolved.rotateEvery ?? Number.POSITIVE_INFINITY))
    throw new OptionError(`${CALLER}: option "rotateGrace" is at most "rotateEvery"`);
  const secret = resolved.secret ?? process.env.SESSION_SECRET;
  const hasSecret = secret !== undefined && secret.length > 0;
  const isProduction = process.env.NODE_ENV === 'production';
  if (hasSecret && isProduction) checkSecret(secret);
  if (!hasSecret && isProduction)
    throw new OptionError(
      'intelligentSession(): set option "secret" or SESSION_SECRET, a long random text that stays the same',
      'ERR_INTELLIGENT_SESSION_SECRET',
    );
  if (isProduction) checkUsersAreKeyed(resolved.user, resolved.itemSecret);
  return { ...resolved, timeoutMs, redis, store, local, secret: hasSecret ? secret : undefined };
}

/** A store as express-session takes one, or options of RedisSessionStore; throws for what was meant as a store and is none. */
function storeOf(store: Store | StoreOptions): Store | StoreOptions {
  if (isStore(store)) return store;
  const { length } = Object.keys(store);
  const methods = ['get', 'set', 'destroy'].filter((name) => typeof (store as never)[name] === 'function');
  if (methods.length > 0 || (length === 0 && Object.getPrototypeOf(store) !== Object.prototype))
    throw new OptionError(
      `${CALLER}: option "store" is no store: express-session needs get(), set(), destroy() and the events of its class Store, ` +
        `got ${describeValue(store)} with ${methods.join(', ') || 'none of them'}`,
    );
  for (const name of Object.keys(store))
    if (Object.hasOwn(elsewhereInStore, name))
      throw new OptionError(`${CALLER}: option "store.${name}" ${elsewhereInStore[name]}`);
  return store;
}

/** Is it a store, by its methods? `instanceof` says no of a store of another copy of express-session. */
export const isStore = (store: object): store is Store =>
  ['get', 'set', 'destroy', 'on', 'emit', 'createSession'].every(
    (name) => typeof (store as never)[name] === 'function',
  );
