/**
 * Runs tests while every connection of the product is a user with its role's rights only (as-acl-user.ts), on each of four
 * servers: `npm run test:least-privilege -- [--sample] [--on redis-8.2,…] [files]`. `--sample` is what CI runs.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cached } from './servers.js';

/** Files that have no place here: they try ACLs themselves, measure how long Redis takes, or use clients of a caller's only. */
const WITHOUT = /least-privilege|rights|script-time|command-line|bloom-filter/;
/** Tests that can't pass as another user than the server's default one, each with the reason. */
const CANNOT: Readonly<Record<string, string>> = {
  'one that is connected but deaf is not ready': 'takes rights away from the default user',
  'command names that a visitor chose': 'sends any number of commands; a rule names each',
  'too many clients is told by the store':
    'what a server says to who comes too many is not heard by who makes the user',
  'works behind a proxy without INFO': 'who makes the user asks INFO',
  'what is closed while it connects': 'a server that lets nothing through makes no user',
};
const SERVERS = ['redis-7.0', 'redis-6.2', 'redis-8.2', 'valkey-9.1'];
/** What CI runs on each server; and tests that start a server of each kind themselves: on one PATH they have been on all. */
const SAMPLE = ['test/integration/serving.test.ts', 'test/integration/redis-session-store.test.ts'];
const ONCE = ['test/integration/intelligence.test.ts', 'test/integration/stream.test.ts'];

const of = (folder: string) =>
  readdirSync(`test/${folder}`)
    .filter((file) => file.endsWith('.test.ts') && !WITHOUT.test(file))
    .map((file) => `test/${folder}/${file}`);

const { values, positionals } = parseArgs({
  options: { sample: { type: 'boolean' }, on: { type: 'string', default: SERVERS.join() } },
  allowPositionals: true,
});
const servers = values.on.split(',');
const all = positionals.length > 0 ? positionals : [...of('contract'), ...of('integration')];
const jobs: (readonly [server: string, files: readonly string[]])[] = values.sample
  ? [['redis-7.0', ONCE], ...servers.map((server) => [server, SAMPLE] as const)]
  : servers.map((server) => [server, server === 'redis-7.0' ? all : all.filter((file) => !ONCE.includes(file))]);

async function run(server: string, files: readonly string[], path: string): Promise<boolean> {
  if (server !== 'redis-7.0') {
    if (!existsSync(cached(server))) {
      process.stderr.write(`${server} is not there: npm run servers\n`);
      return !process.env.CI;
    }
    symlinkSync(cached(server), join(path, 'redis-server'));
  }
  const options = [
    '--no-config',
    '--exit',
    '--forbid-only',
    '--timeout',
    '20000',
    '--grep',
    Object.keys(CANNOT).join('|'),
    '--invert',
    '--reporter',
    process.env.REPORTER ?? 'dot',
  ];
  const required = ['hooks', 'as-acl-user'].flatMap((name) => ['--require', `test/support/${name}.ts`]);
  const node = ['--node-option', 'import=tsx', '--node-option', 'unhandled-rejections=strict'];
  const mocha = spawn(
    process.execPath,
    ['node_modules/mocha/bin/mocha.js', ...options, ...node, ...required, ...files],
    {
      stdio: 'inherit',
      env: { ...process.env, ESBUILD_WORKER_THREADS: '0', PATH: `${path}${delimiter}${process.env.PATH}` },
    },
  );
  const [code] = await once(mocha, 'exit');
  return code === 0;
}

let ok = true;
/** The sample's that wait most run beside the others. */
await Promise.all(
  Array.from({ length: values.sample ? 2 : 1 }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const [server, files] = job;
      const path = mkdtempSync(join(tmpdir(), 'server-'));
      process.stdout.write(`\nunder ACLs: ${server}: ${files.length} files\n`);
      try {
        ok = (await run(server, files, path)) && ok;
      } finally {
        rmSync(path, { recursive: true });
      }
    }
  }),
);
process.exitCode = ok ? 0 : 1;
