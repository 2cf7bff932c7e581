// Builds the package into dist/: all code as CommonJS; for each public entry an ES module that only exports what the CommonJS
// has, so that no process has two copies; and the scripts for Redis and for browsers as texts in the JavaScript.
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadScript } from './lib/redis/load-script.js';
import { loadBrowserScript } from './middleware/load-browser-script.js';
import manifest from './package.json' with { type: 'json' };

const filesOf = (folder: string, suffix: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(suffix))
    .map((file) => `${folder}/${file}`);

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
rmSync('dist', { recursive: true, force: true });
execFileSync('node', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
// the project's package.json calls .js files ES modules; those in dist/ are none
writeFileSync('dist/package.json', '{ "type": "commonjs" }\n');

// two modules read files that dist/ does not have: modules that have the texts take their places
const scripts = Object.fromEntries(
  [...filesOf('lib', '.lua'), ...filesOf('fallback', '.lua')].map((file) => [file, loadScript(file)]),
);
writeFileSync(
  'dist/lib/redis/load-script.js',
  `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
const scripts = ${JSON.stringify(scripts, null, 2)};
exports.loadScript = (file) => scripts[file];
`,
);
rmSync('dist/lib/redis/load-script.js.map');
const browserScripts = Object.fromEntries(
  filesOf('middleware/browser', '.js').map((file) => [file, loadBrowserScript(file)]),
);
writeFileSync(
  'dist/middleware/load-browser-script.js',
  `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
const scripts = ${JSON.stringify(browserScripts, null, 2)};
exports.loadBrowserScript = (file) => scripts[file];
`,
);
rmSync('dist/middleware/load-browser-script.js.map');

/** By a file of dist/: the modules that their first use is to load, and not the load of that file. */
const LAZY = {
  'middleware/intelligent-session.js': ['../lib/serving/local-executor.js'],
  'lib/lazy.js': ['./bloom-choice/choose-bloom-filter.js', './worker/worker.js'],
  'lib/metrics/metrics.js': ['prom-client'],
  'lib/transport/replies/lists.js': ['generic-pool'],
  'lib/redis/open-target.js': ['./cluster.js', './sentinel.js'],
  'lib/session/session-records.js': ['./near-cache.js'],
};
for (const [file, modules] of Object.entries(LAZY)) {
  let text = readFileSync(`dist/${file}`, 'utf8');
  for (const module of modules) {
    // tsc writes `const constant = require(…);`, and `constant.name` for each use, which becomes `(require(…)).name`
    const load = `require(${JSON.stringify(module)})`;
    const constant = text.split(` = ${load};`, 1)[0]?.split('const ').at(-1) ?? '';
    if (!/^\w+$/.test(constant)) throw new Error(`dist/${file} has no ${load}`);
    text = text.replace(`const ${constant} = ${load};`, '').replaceAll(`${constant}.`, `(${load}).`);
  }
  writeFileSync(`dist/${file}`, text);
}

// for each `import * as v` tsc copies valibot's 320 functions, to add a `default` that nobody uses: such copies are left out
for (const file of filesOf('dist', '.js')) {
  const text = readFileSync(file, 'utf8');
  const plain = text.replace('__importStar(require("valibot"))', 'require("valibot")');
  if (plain !== text) writeFileSync(file, plain);
}

// TypeScript makes require() of import(), and require() can't load every ES module that a file known only at run time may be
for (const file of filesOf('dist', '.js'))
  if (readFileSync(file, 'utf8').includes('Promise.resolve(`${'))
    throw new Error(`${file}: an import() of an expression; use importModule() of lib/worker/import-module.ts`);

const require = createRequire(import.meta.url);
for (const [entry, conditions] of Object.entries(manifest.exports)) {
  if (typeof conditions === 'string') continue; // package.json itself
  const { import: esm, require: cjs } = conditions;
  const { default: defaultExport, ...named } = require(resolve(cjs.default)) as Record<string, unknown>;
  const names = Object.keys(named);
  // to an ES module `default` of a CommonJS one is all its exports: the default export is taken by its other name
  const defaultName = names.find((name) => named[name] === defaultExport && defaultExport !== undefined);
  if (defaultName) names.push(`${defaultName} as default`);
  const from = cjs.default.replace('./dist/', './');
  if (names.length === 0) throw new Error(`${entry} exports nothing`);
  writeFileSync(esm.default, `export { ${names.join(', ')} } from '${from}';\n`);
  const types = `export * from '${from}';\n${defaultName ? `export { ${defaultName} as default } from '${from}';\n` : ''}`;
  writeFileSync(esm.types, types);
}
for (const file of Object.values(manifest.bin)) chmodSync(file, 0o755);
