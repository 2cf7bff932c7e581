import { readFileSync } from 'node:fs';

/**
 * The text of a script for browsers (named from the project's root) as it is served: without comments on lines of their own and
 * indentation. In the built package another module replaces this one, as it does load-script.ts (build.ts).
 */
export function loadBrowserScript(file: string): string {
  // @ts-ignore: the build is CommonJS, which has no import.meta
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  return text.replace(/^\s*(\/\/.*)?\n|^[ \t]+/gm, '');
}
