import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

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
