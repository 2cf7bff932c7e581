import { readFileSync } from 'node:fs';

/**
 * The text of a script for browsers (its path is from the project's root) as it is served: without indentation, and without
 * comments that have a line of their own. In the built package build.ts puts a module with all texts in the place of this one.
 */
export function loadBrowserScript(file: string): string {
  // @ts-ignore: the build is CommonJS, which has no import.meta
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  return text.replace(/^\s*(\/\/.*)?\n|^[ \t]+/gm, '');
}
