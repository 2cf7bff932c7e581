import type { Redis } from 'ioredis';

type InfoCallback = (error?: Error | null, text?: string) => void;

/**
 * An account that may not ask INFO (on managed Redis many may not) is ready as soon as it is connected. ioredis goes on as
 * well, but writes on the console at each connection of each process.
 */
export function allowNoInfo(client: Redis): void {
  const { info } = client as unknown as { info(...args: unknown[]): Promise<string> };
  const ask = (...args: unknown[]): Promise<string> => {
    const callback = args.at(-1);
    if (typeof callback !== 'function') return info.apply(client, args);
    const answered: InfoCallback = (error, text) =>
      error?.message.includes('NOPERM') ? callback(null, '') : callback(error, text);
    return info.apply(client, [...args.slice(0, -1), answered]);
  };
  Object.assign(client, { info: ask });
}
