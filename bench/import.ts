// How long it takes to import the package, beside the libraries that it stands on: `npm run bench:import`.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median, quick, report, round } from './support/figures.js';

const ROUNDS = quick ? 5 : 15;
const root = fileURLToPath(new URL('..', import.meta.url));
/** A process that does nothing else; CPU, since a busy machine stretches the time on the wall. */
const measured = (load: string) => `
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  ${load};
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ ms: performance.now() - start, cpuMs: (user + system) / 1000 }));`;
const modules = ['intelligent-session', 'intelligent-session/store', 'ioredis', 'express-session'];
const sides = modules.flatMap((name) => [
  { module: name, how: 'import', args: ['--input-type=module', '-e', measured(`await import('${name}')`)] },
  { module: name, how: 'require', args: ['--input-type=commonjs', '-e', measured(`require('${name}')`)] },
]);

const times = sides.map(() => [] as { ms: number; cpuMs: number }[]);
// interleaved, and the first round for the disk
for (let i = -1; i < ROUNDS; i++)
  for (const [at, { args }] of sides.entries()) {
    const time = JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' }));
    if (i >= 0) times[at]?.push(time);
  }
const rows = sides.map(({ module, how }, at) => {
  const all = times[at] ?? [];
  const of = (key: 'ms' | 'cpuMs') => round(median(all.map((time) => time[key])), 1);
  return { module, how, 'ms of CPU': of('cpuMs'), ms: of('ms') };
});
report('import', { [`medians of ${ROUNDS} interleaved runs`]: rows });
