import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { until } from './until.js';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);

/**
 * Starts Chromium. Where it is not installed, the caller's tests are skipped and a line on stderr says so; in CI it is an
 * error.
 */
export async function launchChromium(context: Mocha.Context, what: string): Promise<Browser> {
  if (executablePath === undefined) {
    if (process.env.CI) throw new Error('Chromium is not there: apt-get install chromium');
    process.stderr.write(`pending: ${what} in Chromium: apt-get install chromium\n`);
    context.skip();
  }
  return chromium.launch({
    executablePath: executablePath as string,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  });
}

/**
 * Closes contexts, all at once. On a busy machine Chromium now and then closes one and never says so: it is not waited for any longer,
 * and ends with the browser at the latest.
 */
export async function closeContexts(contexts: readonly BrowserContext[]): Promise<void> {
  let left = contexts.length;
  for (const context of contexts)
    void context
      .close()
      .catch(() => {}) // the browser is gone, and the context with it
      .finally(() => left--);
  await until('Chromium has closed what was open', () => left === 0, 15_000).catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
  });
}
