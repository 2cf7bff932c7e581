/**
 * Puts the figures of bench/results into README.md and docs/figures.md, the commands into WIRE.md, the
 * options into docs/options.md and the comments of their types, and draws docs/plots: `npm run docs:figures`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fill, plots } from './support/documented.js';
import { fillComments, interfaces } from './support/option-tables.js';

const here = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

for (const page of ['README.md', 'WIRE.md', 'docs/figures.md', 'docs/options.md'])
  writeFileSync(here(page), fill(readFileSync(here(page), 'utf8')));
for (const { file, name, schema } of interfaces)
  writeFileSync(here(file), fillComments(readFileSync(here(file), 'utf8'), name, schema));
mkdirSync(here('docs/plots'), { recursive: true });
for (const [file, svg] of Object.entries(plots())) writeFileSync(here(`docs/plots/${file}`), svg);
