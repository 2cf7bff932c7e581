// Puts the package together in dist/: CommonJS, one copy of everything, which `require` gets; an ES module for each public
// entry, which exports what that copy has; and Redis' scripts, and those for browsers, inside the JavaScript.
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadScript } from './lib/redis/load-script.js';
import { loadBrowserScript } from './middleware/load-browser-script.js';
import manifest from './package.json' with { type: 'json' };

const filesOf = (folder: string, end: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(end))
    .map((file) => `${folder}/${file}`);

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
rmSync('dist', { recursive: true, force: true });
execFileSync('node', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
// the project's source is ES modules, what was just written is not
writeFileSync('dist/package.json', '{ "type": "commonjs" }\n');

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

/** What a module of the package requires where it is first used, and not when it is loaded itself. */
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
    // as TypeScript writes it: the module in a constant, and `constant.name` wherever the source has the name
    const load = `require(${JSON.stringify(module)})`;
    const constant = text.split(` = ${load};`, 1)[0]?.split('const ').at(-1) ?? '';
    if (!/^\w+$/.test(constant)) throw new Error(`dist/${file} has no ${load}`);
    text = text.replace(`const ${constant} = ${load};`, '').replaceAll(`${constant}.`, `(${load}).`);
  }
  writeFileSync(`dist/${file}`, text);
}

// valibot is imported as a namespace and exports nothing else: no copy of its 320 functions for each module that does so
for (const file of filesOf('dist', '.js')) {
  const text = readFileSync(file, 'utf8');
  const plain = text.replace('__importStar(require("valibot"))', 'require("valibot")');
  if (plain !== text) writeFileSync(file, plain);
}

// TypeScript makes require() of import(); one whose file is known only at run time would then find no ES module
for (const file of filesOf('dist', '.js'))
  if (readFileSync(file, 'utf8').includes('Promise.resolve(`${'))
    throw new Error(`${file}: an import() of an expression; use importModule() of lib/worker/import-module.ts`);

const require = createRequire(import.meta.url);
for (const [entry, conditions] of Object.entries(manifest.exports)) {
  if (typeof conditions === 'string') continue;
  const { import: esm, require: cjs } = conditions;
  const { default: main, ...named } = require(resolve(cjs.default)) as Record<string, unknown>;
  const names = Object.keys(named);
  const ofMain = names.find((name) => named[name] === main && main !== undefined);
  if (ofMain) names.push(`${ofMain} as default`);
  const from = cjs.default.replace('./dist/', './');
  if (names.length === 0) throw new Error(`${entry} exports nothing`);
  writeFileSync(esm.default, `export { ${names.join(', ')} } from '${from}';\n`);
  const types = `export * from '${from}';\n${ofMain ? `export { ${ofMain} as default } from '${from}';\n` : ''}`;
  writeFileSync(esm.types, types);
}
for (const file of Object.values(manifest.bin)) chmodSync(file, 0o755);
