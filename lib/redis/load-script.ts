import { readFileSync } from 'node:fs';

/**
 * The text of a .lua file of this project (named from its root) as it goes to Redis: without comments and indentation.
 * In the built package another module replaces this one and has all texts in it (build.ts), since a bundle has no files beside
 * its modules.
 */
export function loadScript(file: string): string {
  // @ts-ignore: the build is CommonJS, which has no import.meta
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  // a comment behind code is removed only where no quote follows: what looks like one may be within a string
  return text.replace(/^\s*(--.*)?\n|^[ \t]+|[ \t]+--[ \t][^'"\n]*$/gm, '');
}
