/**
 * Runs the contract and integration tests while every connection of the product is a user with its role's rights only
 * (as-acl-user.ts), on each of four servers, file by file, and ends with a table of what passed:
 * `npm run test:least-privilege -- [--sample] [--on redis-8.2,…] [files]`. `--sample` is what CI runs.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cached } from './servers.js';

/** Files that have no place here, each with the reason. */
const WITHOUT: Readonly<Record<string, string>> = {
  'least-privilege': 'makes users with exact rules itself, on every server',
  rights: 'makes users with exact rules itself, on every server',
  demo: 'its own Redis lets nobody make a user (-@admin)',
  'script-time': 'measures how long Redis takes',
  'command-line': 'tries options and how a process ends, not what Redis allows',
  'command-line-mistakes': 'tries wrong options, and servers that refuse AUTH',
  'bloom-filter': 'uses clients of a caller only, whose rights are the caller’s',
};
/** Tests that can't pass as another user than the server's default one, each with the reason. */
const CANNOT: Readonly<Record<string, string>> = {
  'one that is connected but deaf is not ready': 'takes rights away from the default user',
  'command names that a visitor chose': 'sends any number of commands; a rule names each',
  'too many clients is told by the store':
    'what a server says to who comes too many is not heard by who makes the user',
  'works behind a proxy without INFO': 'who makes the user asks INFO',
  'what answers and is no Redis is told': 'what is no Redis makes no user',
  'what is closed while it connects': 'a server that lets nothing through makes no user',
};
const SERVERS = ['redis-7.0', 'redis-6.2', 'redis-8.2', 'valkey-9.1'];
/** What CI runs on each server; and tests that start a server of each kind themselves: on one PATH they have been on all. */
const SAMPLE = ['test/integration/serving.test.ts', 'test/integration/redis-session-store.test.ts'];
const ONCE = ['test/integration/intelligence.test.ts', 'test/integration/stream.test.ts'];

const nameOf = (file: string): string => basename(file, '.test.ts');
const of = (folder: string) =>
  readdirSync(`test/${folder}`)
    .filter((file) => file.endsWith('.test.ts') && !Object.hasOwn(WITHOUT, nameOf(file)))
    .map((file) => `test/${folder}/${file}`);

const { values, positionals } = parseArgs({
  options: { sample: { type: 'boolean' }, on: { type: 'string', default: SERVERS.join() } },
  allowPositionals: true,
});
const servers = values.on.split(',');
for (const server of servers)
  if (!SERVERS.includes(server)) throw new Error(`--on: ${server} is not of ${SERVERS.join()}`);
const whole = [...of('contract'), ...of('integration')];
const files = positionals.length > 0 ? positionals : values.sample ? [...ONCE, ...SAMPLE] : whole;
const jobs = servers.flatMap((server) =>
  files.filter((file) => server === servers[0] || !ONCE.includes(file)).map((file) => ({ server, file })),
);

/** What mocha's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly stats: { readonly passes: number; readonly pending: number; readonly failures: number };
  readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[];
}

/** A cell of the table: how many passed, or what went wrong. */
const table: Record<string, Record<string, string>> = {};
let ok = true;

/** A file that takes longer than this hangs. */
const LIMIT_MS = 600_000;

async function run(server: string, file: string, path: string): Promise<string> {
  const output = join(path, 'report.json');
  const options = ['--no-config', '--exit', '--forbid-only', '--timeout', '20000'];
  const but = ['--grep', Object.keys(CANNOT).join('|'), '--invert'];
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${output}`];
  const required = ['hooks', 'as-acl-user'].flatMap((name) => ['--require', `test/support/${name}.ts`]);
  const node = ['--node-option', 'import=tsx', '--node-option', 'unhandled-rejections=strict'];
  if (server !== 'redis-7.0') symlinkSync(cached(server), join(path, 'redis-server'));
  const mocha = spawn(
    process.execPath,
    ['node_modules/mocha/bin/mocha.js', ...options, ...but, ...reporter, ...node, ...required, file],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: LIMIT_MS,
      env: { ...process.env, ESBUILD_WORKER_THREADS: '0', PATH: `${path}${delimiter}${process.env.PATH}` },
    },
  );
  const [code] = await once(mocha, 'exit');
  if (!existsSync(output)) {
    ok = false;
    return `ended with ${code}`;
  }
  const { stats, failures } = JSON.parse(readFileSync(output, 'utf8')) as Report;
  for (const { fullTitle, err } of failures)
    process.stdout.write(`  ${server}: ${file}: ${fullTitle}: ${err.message?.split('\n')[0]}\n`);
  // none at all is a mistake in the options above
  ok &&= code === 0 && stats.failures === 0 && stats.passes + stats.pending > 0;
  return `${stats.passes}${stats.pending ? `, ${stats.pending} pending` : ''}${stats.failures ? `, ${stats.failures} failed` : ''}`;
}

/** The sample's that wait most run beside the others. */
await Promise.all(
  Array.from({ length: values.sample ? 2 : 1 }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const { server, file } = job;
      const row = (table[nameOf(file)] ??= {});
      if (server !== 'redis-7.0' && !existsSync(cached(server))) {
        row[server] = 'no server: npm run servers';
        ok &&= !process.env.CI;
        continue;
      }
      const path = mkdtempSync(join(tmpdir(), 'server-'));
      try {
        row[server] = await run(server, file, path);
      } finally {
        rmSync(path, { recursive: true });
      }
      process.stdout.write(`under ACLs: ${server}: ${file}: ${row[server]}\n`);
    }
  }),
);

const line = (cells: readonly string[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`);
process.stdout.write('\nPassed under ACLs\n\n');
line(['file', ...servers]);
line(['---', ...servers.map(() => '---:')]);
for (const [name, row] of Object.entries(table))
  line([name, ...servers.map((server) => row[server] ?? `on ${servers[0]}’s run`)]);
process.stdout.write('\nNot run, by design\n\n');
for (const [name, reason] of Object.entries({ ...WITHOUT, ...CANNOT })) process.stdout.write(`- ${name}: ${reason}\n`);
process.exitCode = ok ? 0 : 1;
