import { OptionError } from '../errors/errors.js';
import { builtIn } from '../intelligence/commands.js';
import { checkSessionId, checkTtl } from '../options/check-arguments.js';
import { checkCommand } from '../transport/protocol.js';

/** A day: far below the some 24 days that a timer takes at most. */
const LONGEST_TIMEOUT_MS = 86_400_000;

/** Throws an OptionError where an executor's send() or ask() was called in a wrong way. */
export function checkRequest(
  method: 'send' | 'ask',
  command: string,
  sid: string,
  options: { readonly ttlSeconds: number; readonly timeoutMs?: number },
): void {
  if (!builtIn.has(command)) checkCommand(command);
  checkSessionId(method, sid);
  checkTtl(method, options?.ttlSeconds);
  if (method === 'ask') checkTimeout(options.timeoutMs);
}

function checkTimeout(timeoutMs: unknown): void {
  if (typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= LONGEST_TIMEOUT_MS) return;
  throw new OptionError(
    `ask(): "timeout" should be a number of ms from 1 to ${LONGEST_TIMEOUT_MS}`,
    'ERR_INTELLIGENT_SESSION_ARGUMENT',
  );
}
