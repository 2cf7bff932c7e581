import { argumentError, optionsOf } from '../lib/options/check-arguments.js';
import { OptionError } from '../lib/errors/errors.js';

/** Most proxies end a connection on which nothing came for 60 s, some after 30 s. */
const DEFAULT_HEARTBEAT_SECONDS = 25;
const DEFAULT_MAX_OPEN = 10_000;

export interface LiveOptions {
  /** How often each open stream gets a comment, so that no proxy takes it for dead, 1 to 3600. Unit: seconds. @default 25 */
  readonly heartbeatSeconds?: number | undefined;
  /** How many streams are open at once, for this handler; more get status 503 with Retry-After. @default 10000 */
  readonly maxOpen?: number | undefined;
}

export function resolveLiveOptions(given: LiveOptions | undefined): Required<{ [K in keyof LiveOptions]: number }> {
  const {
    heartbeatSeconds = DEFAULT_HEARTBEAT_SECONDS,
    maxOpen = DEFAULT_MAX_OPEN,
    ...others
  } = optionsOf<LiveOptions>('live', given);
  checkInteger('heartbeatSeconds', heartbeatSeconds, 3_600);
  checkInteger('maxOpen', maxOpen, 1_000_000);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new OptionError(
      `live(): there is no option ${JSON.stringify(unknown.slice(0, 40))}: it has heartbeatSeconds and maxOpen`,
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
    );
  return { heartbeatSeconds, maxOpen };
}

function checkInteger(name: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most)
    throw argumentError('live', `"${name}" to be a whole number from 1 to ${most}`, value);
}
