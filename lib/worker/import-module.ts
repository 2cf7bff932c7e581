/** import() of a module that is known only at run time: the build is CommonJS, where TypeScript would make it require(). */
// oxlint-disable-next-line typescript/no-implied-eval -- the text is constant
export const importModule = new Function('url', 'return import(url)') as (
  url: string,
) => Promise<{ default?: unknown }>;
