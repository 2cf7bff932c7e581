import type { IntelligentRequest } from './request-intelligence.js';

type Callback = (error?: unknown) => void;
type Method = (this: object, callback: Callback) => unknown;

const METHODS = ['save', 'reload', 'regenerate', 'destroy'] as const;
/** what this module has put in a method's place */
const ours = new WeakSet<Method>();

/**
 * `save`, `reload`, `regenerate` and `destroy` of `req.session` return a promise where they are called without a callback:
 * express-session's own would end the process (`fn is not a function`), or tell nobody of an error. A rejection that nobody
 * looks at does no harm: the store has told it. `guard` is done to each new session first, after express-session has put its
 * own methods there.
 */
export function promiseMethods(req: IntelligentRequest, guard: (req: IntelligentRequest) => void): void {
  if (typeof req.session !== 'object' || req.session === null || ours.has(methodsOf(req).save)) return;
  guard(req);
  const session = methodsOf(req);
  for (const name of METHODS) {
    const method = session[name];
    if (typeof method !== 'function') continue; // the application has put something else there
    const call = (self: object, callback: Callback) =>
      Reflect.apply(method, self, [
        function (this: unknown, ...result: [error?: unknown]) {
          promiseMethods(req, guard); // reload() and regenerate() make another session
          Reflect.apply(callback, this, result);
        },
      ]);
    const value = function (this: object, callback?: Callback): unknown {
      if (typeof callback === 'function') {
        call(this, callback);
        return this;
      }
      const done = new Promise<void>((resolve, reject) => {
        call(this, (error) => (error ? reject(error) : resolve()));
      });
      done.catch(() => {});
      return done;
    };
    ours.add(value);
    Object.defineProperty(session, name, { value, configurable: true, enumerable: false, writable: true });
  }
}

const methodsOf = ({ session }: IntelligentRequest) => session as unknown as Record<(typeof METHODS)[number], Method>;
