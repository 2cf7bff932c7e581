import { warn } from '../errors/warnings.js';
import type { Availability } from './availability.js';

interface Lines {
  warn(line: string): void;
  info(line: string): void;
}

const onConsole: Lines = {
  warn: (line) => warn('INTELLIGENT_SESSION_REDIS_AWAY', line),
  info: (line) => warn('INTELLIGENT_SESSION_REDIS_BACK', line),
};

/**
 * Tells a person that Redis is away, with the reason and what happens `now`, and that it is back: a line each, where `heard`
 * says that nobody else took it.
 */
export function tellAway(
  availability: Availability,
  now: string,
  heard: (reason: Error) => boolean,
  lines: Lines = onConsole,
): void {
  let told = false;
  availability.on('away', (reason) => {
    if (heard(reason)) return;
    told = true;
    lines.warn(`${availability.why}. Until there is one, ${now}`);
  });
  availability.on('back', () => {
    if (told) lines.info(`Redis at ${availability.target.address()} is there again`);
    told = false;
  });
}
