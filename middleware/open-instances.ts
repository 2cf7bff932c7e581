import { warn } from '../lib/errors/warnings.js';

/** An application needs one, or a few: as many as these are open only where each request makes one and none is closed. */
const MANY = 10;
let open = 0;
let warned = false;

/** Counts an open middleware: one that is made in a handler opens connections at each request. Returns what close() calls. */
export function countOpen(): () => void {
  if (++open >= MANY && !warned) {
    warned = true;
    warn(
      'INTELLIGENT_SESSION_MANY_INSTANCES',
      `${open} intelligentSession() are open in this process, each with connections of its own: make one where the application ` +
        'starts, not in a handler, and close() what is not used any more',
    );
  }
  return () => {
    if (--open < MANY) warned = false;
  };
}
