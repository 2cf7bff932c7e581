import { readFileSync } from 'node:fs';

/**
 * The text of a .lua file (its path from the project's root) as it goes to Redis: without comments and indentation.
 * In the built package build.ts puts another module in this one's place, which has all texts in it, since a bundle has no files
 * beside its modules.
 */
export function loadScript(file: string): string {
  // @ts-ignore: the build is CommonJS, which has no import.meta
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  // a comment behind code is removed only where no quote follows: with a quote it may be a part of a string
  return text.replace(/^\s*(--.*)?\n|^[ \t]+|[ \t]+--[ \t][^'"\n]*$/gm, '');
}
