/** import() of a module that is known only at run time: the build is CommonJS, where TypeScript would make it require(). */
export const importModule = new Function('url', 'return import(url)') as (
  url: string,
) => Promise<{ default?: unknown }>;
