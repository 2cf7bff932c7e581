import { IntelligentSessionError } from '../lib/errors/errors.js';
import type { ExpressRequest } from './express-request.js';

/**
 * The function of an option whose answer is needed at once. The promise that an async function gives would count as a yes for
 * every request, and end the process if it rejects: the first one is told, and `instead` takes its place.
 */
export function synchronous<Answer, Instead>(
  option: string,
  ask: (req: ExpressRequest) => Answer,
  [instead, meaning]: readonly [instead: Instead, meaning: string],
  fault: (error: Error) => void,
): (req: ExpressRequest) => Answer | Instead {
  let isReported = false;
  return (req) => {
    const answer = ask(req);
    if (typeof (answer as PromiseLike<unknown> | null | undefined)?.then !== 'function') return answer;
    Promise.resolve(answer).catch(() => {});
    const text = `option "${option}" gave a promise, and its answer is needed at once: ${meaning}`;
    if (!isReported) fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', text));
    isReported = true;
    return instead;
  };
}
