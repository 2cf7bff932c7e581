import type { IntelligentRequest } from './request-intelligence.js';

type Callback = (error?: unknown) => void;
type Method = (this: object, callback: Callback) => unknown;
type Guard = (req: IntelligentRequest) => void;

const NAMES = ['save', 'reload', 'regenerate', 'destroy'] as const;
type Name = (typeof NAMES)[number];

/** What a session object had before ours, and for whom it is. */
interface Wrapped {
  readonly req: IntelligentRequest;
  readonly guard: Guard;
  readonly methods: Readonly<Record<Name, Method>>;
}
/** A session's own, and not in its JSON. */
const WRAPPED = Symbol('wrapped by promiseMethods()');
type WithWrapped = Partial<Record<typeof WRAPPED, Wrapped>>;

const hidden = (value: unknown) => ({ value, configurable: true, enumerable: false, writable: true });

/** The same functions for all sessions: they are made for each request otherwise. */
const ours = Object.fromEntries(
  NAMES.map((name) => [
    name,
    function (this: WithWrapped, callback?: Callback): unknown {
      const { [WRAPPED]: wrapped } = this;
      const method: unknown = wrapped?.methods[name];
      if (!wrapped || typeof method !== 'function') throw new TypeError(`${name}() is not this session's own`);
      const call = (told: Callback) =>
        Reflect.apply(method, this, [
          function (this: unknown, ...result: [error?: unknown]) {
            promiseMethods(wrapped.req, wrapped.guard); // reload() and regenerate() make another session
            Reflect.apply(told, this, result);
          },
        ]);
      if (typeof callback === 'function') {
        call(callback);
        return this;
      }
      const done = new Promise<void>((resolve, reject) => {
        call((error) => (error ? reject(error) : resolve()));
      });
      done.catch(() => {});
      return done;
    },
  ]),
) as unknown as Record<Name, Method>;
const oursHidden = Object.fromEntries(NAMES.map((name) => [name, hidden(ours[name])]));

/**
 * `save`, `reload`, `regenerate` and `destroy` of `req.session` return a promise where they are called without a callback:
 * express-session's own would end the process (`fn is not a function`), or tell nobody of an error. A rejection that nobody
 * looks at does no harm: the store has told it. `guard` is done to each new session first, after express-session has put its
 * own methods there.
 */
export function promiseMethods(req: IntelligentRequest, guard: Guard): void {
  if (typeof req.session !== 'object' || req.session === null || methodsOf(req).save === ours.save) return;
  guard(req);
  const { save, reload, regenerate, destroy } = methodsOf(req);
  const methods = { save, reload, regenerate, destroy };
  Object.defineProperty(req.session, WRAPPED, hidden({ req, guard, methods } satisfies Wrapped));
  if (NAMES.every((name) => typeof methods[name] === 'function')) Object.defineProperties(req.session, oursHidden);
  // the application has put something else there
  else
    for (const name of NAMES)
      if (typeof methods[name] === 'function')
        Object.defineProperty(req.session, name, oursHidden[name] as PropertyDescriptor);
}

const methodsOf = ({ session }: IntelligentRequest) => session as unknown as Record<Name, Method>;
