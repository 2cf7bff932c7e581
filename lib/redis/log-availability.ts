import { warn } from '../errors/warnings.js';
import type { Availability } from './availability.js';

interface Log {
  warn(line: string): void;
  info(line: string): void;
}

const onConsole: Log = {
  warn: (line) => warn('INTELLIGENT_SESSION_REDIS_AWAY', line),
  info: (line) => warn('INTELLIGENT_SESSION_REDIS_BACK', line),
};

/**
 * Writes one line when Redis is away, with the reason and the consequence, and one when Redis is back. Writes neither where
 * `isHandled` says that nobody needs the line, as when the application listens to the event itself.
 */
export function logAvailability(
  availability: Availability,
  consequence: string,
  isHandled: (reason: Error) => boolean,
  log: Log = onConsole,
): void {
  let logged = false;
  availability.on('away', (reason) => {
    if (isHandled(reason)) return;
    logged = true;
    log.warn(`${availability.why}. Until there is one, ${consequence}`);
  });
  availability.on('back', () => {
    if (logged) log.info(`Redis at ${availability.target.address()} is there again`);
    logged = false;
  });
}
