import { readFileSync } from 'node:fs';

/**
 * The text of a .lua file of this project (named from its root) as it goes to Redis: without comments and indentation.
 * The built package has another module in this one's place, which holds every text (build.ts): no file stands beside the
 * modules of a bundle.
 */
export function loadScript(file: string): string {
  // @ts-ignore: the build is CommonJS, which has no import.meta
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  // behind code, only what surely stands in no string: a string would end behind it
  return text.replace(/^\s*(--.*)?\n|^[ \t]+|[ \t]+--[ \t][^'"\n]*$/gm, '');
}
