import type { Session, SessionData, Store } from 'express-session';

// express-session's middleware gives its store a method generate(), which puts a new session, with a new id, into a request.
// The types of a store do not have that method: only this file knows of it.

type Request = Parameters<Store['createSession']>[0];
type Generate = (req: { session: Session & SessionData }) => void;

/** Tells of each session that express-session makes. To be called before express-session's middleware has the store. */
export function onGenerated(store: Store, generated: (session: Session & SessionData) => void): void {
  let original: Generate | undefined;
  const generate: Generate = (req) => {
    original?.call(store, req);
    generated(req.session);
  };
  Object.defineProperty(store, 'generate', {
    configurable: true,
    enumerable: true,
    get: () => original && generate,
    set: (value: Generate) => {
      original = value;
    },
  });
}

/**
 * What express-session gives to a request that has no session yet: an id, and a session whose cookie has the site's options.
 * The request itself stays as it is. Undefined where the store has no middleware of express-session's.
 */
export function generateFor<Req extends Request>(store: Store, req: Req): Req | undefined {
  const { generate } = store as { generate?: (req: Req) => void };
  if (!generate) return undefined;
  // generate() writes the new session into the object that it gets: this one inherits all else from the request.
  const scratch = Object.create(req) as Req;
  generate.call(store, scratch);
  return scratch;
}
