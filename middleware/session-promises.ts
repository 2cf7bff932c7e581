import type { IntelligentRequest } from './request-intelligence.js';

type Callback = (error?: unknown) => void;
type Method = (this: object, callback: Callback) => unknown;
/** Is called for each new session object of a request, and may replace its methods. */
type Guard = (req: IntelligentRequest) => void;

const NAMES = ['save', 'reload', 'regenerate', 'destroy'] as const;
type Name = (typeof NAMES)[number];

/** The methods that express-session gave to a session, and the request that it belongs to. */
interface Wrapped {
  readonly req: IntelligentRequest;
  readonly guard: Guard;
  readonly methods: Readonly<Record<Name, Method>>;
}
/** The property of a session that holds its Wrapped. It is not in the session's JSON. */
const WRAPPED = Symbol('wrapped by promiseMethods()');
type WithWrapped = Partial<Record<typeof WRAPPED, Wrapped>>;

const notEnumerable = (value: unknown) => ({ value, configurable: true, enumerable: false, writable: true });

/**
 * The methods that take the place of express-session's: the same functions for all sessions, so that no request makes its own.
 */
const promising = Object.fromEntries(
  NAMES.map((name) => [
    name,
    function (this: WithWrapped, callback?: Callback): unknown {
      const { [WRAPPED]: wrapped } = this;
      const method: unknown = wrapped?.methods[name];
      if (!wrapped || typeof method !== 'function') throw new TypeError(`${name}() is not this session's own`);
      const call = (done: Callback) =>
        Reflect.apply(method, this, [
          function (this: unknown, ...result: [error?: unknown]) {
            promiseMethods(wrapped.req, wrapped.guard); // reload() and regenerate() make a new session object.
            Reflect.apply(done, this, result);
          },
        ]);
      if (typeof callback === 'function') {
        call(callback);
        return this;
      }
      const done = new Promise<void>((resolve, reject) => {
        call((error) => (error ? reject(error) : resolve()));
      });
      done.catch(() => {}); // so that a rejection that nobody handles does not end the process
      return done;
    },
  ]),
) as unknown as Record<Name, Method>;
const promisingProperties = Object.fromEntries(NAMES.map((name) => [name, notEnumerable(promising[name])]));

/**
 * `save`, `reload`, `regenerate` and `destroy` of `req.session` return a promise where they are called without a callback:
 * express-session's own would end the process (`fn is not a function`), or tell nobody of an error. A rejection that nobody
 * handles does no harm: the store reports the error. `guard` is called first for each new session, which has express-session's
 * own methods then.
 */
export function promiseMethods(req: IntelligentRequest, guard: Guard): void {
  if (typeof req.session !== 'object' || req.session === null || Object.hasOwn(req.session, WRAPPED)) return;
  guard(req);
  const { save, reload, regenerate, destroy } = methodsOf(req);
  const methods = { save, reload, regenerate, destroy };
  Object.defineProperty(req.session, WRAPPED, notEnumerable({ req, guard, methods } satisfies Wrapped));
  if (NAMES.every((name) => typeof methods[name] === 'function'))
    Object.defineProperties(req.session, promisingProperties);
  // The application has put something else in the place of one of the methods, which stays.
  else
    for (const name of NAMES)
      if (typeof methods[name] === 'function')
        Object.defineProperty(req.session, name, promisingProperties[name] as PropertyDescriptor);
}

const methodsOf = ({ session }: IntelligentRequest) => session as unknown as Record<Name, Method>;
