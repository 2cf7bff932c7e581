import type { Redis } from 'ioredis';

type InfoCallback = (error?: Error | null, text?: string) => void;

/**
 * Makes the client ready as soon as it is connected where its account may not use INFO (many on managed Redis may not).
 * ioredis by itself does the same, but writes to the console at each connection.
 */
export function allowNoInfo(client: Redis): void {
  const { info } = client as unknown as { info(...args: unknown[]): Promise<string> };
  const ask = (...args: unknown[]): Promise<string> => {
    const callback = args.at(-1); // ioredis' ready check gives one
    if (typeof callback !== 'function') return info.apply(client, args);
    const answered: InfoCallback = (error, text) =>
      error?.message.includes('NOPERM') ? callback(null, '') : callback(error, text);
    return info.apply(client, [...args.slice(0, -1), answered]);
  };
  Object.assign(client, { info: ask });
}
