/**
 * Imports an ES module or a CommonJS module whose place is known only at run time. `url` is an absolute URL, as pathToFileURL()
 * gives it for a file: a relative one would be resolved against no file. The build is CommonJS, in which TypeScript would
 * compile a plain import() to require(), which can't load every ES module.
 */
// oxlint-disable-next-line typescript/no-implied-eval -- the text is constant
export const importModule = new Function('url', 'return import(url)') as (
  url: string,
) => Promise<{ default?: unknown }>;
