/**
 * Runs the contract and integration tests, in which every connection of the product is a user with its role's rights only
 * (as-acl-user.ts), on each of four servers. Prints a table, in which each row is a file on a server; exits with 1 where one
 * failed. `npm run test:least-privilege -- [--sample] [--on redis-8.2,…] [--at-once 1] [files]`; `--sample` is what CI runs.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cached } from './servers.js';

/** Test files that are not run here, each with the reason. */
const WITHOUT: Readonly<Record<string, string>> = {
  'least-privilege': 'makes users with exact rules itself, on every server',
  rights: 'makes users with exact rules itself, on every server',
  demo: 'its own Redis lets nobody make a user (-@admin)',
  'script-time': 'measures how long Redis takes',
  'command-line': 'tries options and how a process ends, not what Redis allows',
  'command-line-mistakes': 'tries wrong options, and servers that refuse AUTH',
  documentation: 'its examples run as a reader runs them, in processes of their own',
  'event-streams': 'writes to browsers, and makes no connection to Redis',
  'bloom-filter': 'uses clients of a caller only, whose rights are the caller’s',
};
/** Tests, by a part of the title, that can't pass as another user than the server's default one, each with the reason. */
const CANNOT: Readonly<Record<string, string>> = {
  'one that is connected but deaf is not ready': 'takes rights away from the default user',
  'command names that a visitor chose': 'sends any number of commands; a rule names each',
  'too many clients is told by the store':
    'what a server says to who comes too many is not heard by who makes the user',
  'an embedded worker leaves that to the store':
    'counts how often a connection to a server that starts is lost; who makes the user there is one more on it',
  'gives degraded answers and one line':
    'counts lines on a connection to a server that starts; who makes the user there is one more on it',
  'works behind a proxy without INFO': 'who makes the user asks INFO',
  'what answers and is no Redis is told': 'what is no Redis makes no user',
  'leaves none without an expiry where the command sets one': 'EXPIRE has NX from Redis 7 on',
  'what is closed while it connects': 'a server that lets nothing through makes no user',
};
const SERVERS = ['redis-7.0', 'redis-6.2', 'redis-8.2', 'valkey-9.1'];
/** What `--sample` runs on each server. */
const SAMPLE = [
  ...['serving', 'redis-session-store', 'connect-redis', 'session-encryption', 'session-merges', 'session-users'],
  ...['session-writes', 'store-away'],
].map((name) => `test/integration/${name}.test.ts`);
/** Tests that start a server of each kind themselves: they run once, on the first server. */
const ONCE = ['carried', 'intelligence', 'stream'].map((name) => `test/integration/${name}.test.ts`);
/** Tests that need TLS, without which the downloaded servers are built: they run on redis-7.0 alone. */
const TLS = ['test/integration/sentinel-tls.test.ts'];
const runsOn = (server: string, file: string): boolean =>
  (server === servers[0] || !ONCE.includes(file)) && (server === 'redis-7.0' || !TLS.includes(file));

const nameOf = (file: string): string => basename(file, '.test.ts');
const testsOf = (folder: string) =>
  readdirSync(`test/${folder}`)
    .filter((file) => file.endsWith('.test.ts') && !Object.hasOwn(WITHOUT, nameOf(file)))
    .map((file) => `test/${folder}/${file}`);

const { values, positionals } = parseArgs({
  options: {
    sample: { type: 'boolean' },
    on: { type: 'string', default: SERVERS.join() },
    'at-once': { type: 'string' },
  },
  allowPositionals: true,
});
const servers = values.on.split(',');
for (const server of servers)
  if (!SERVERS.includes(server)) throw new Error(`--on: ${server} is not of ${SERVERS.join()}`);
// most files of the sample wait more than they compute, so two at once take less time
const atOnce = Number(values['at-once'] ?? (values.sample ? 2 : 1));
if (!(atOnce >= 1)) throw new Error('--at-once: a number of files');
const whole = [...testsOf('contract'), ...testsOf('integration')];
const files = positionals.length > 0 ? positionals : values.sample ? [...ONCE, ...SAMPLE] : whole;
const jobs = servers.flatMap((server) =>
  files.filter((file) => runsOn(server, file)).map((file) => ({ server, file })),
);

/** What mocha's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly stats: { readonly passes: number; readonly pending: number; readonly failures: number };
  readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[];
}

/** A row of the table: a file on a server. */
interface Row {
  readonly server: string;
  readonly file: string;
  readonly result: string;
  readonly failed: boolean;
  /** the users that there were, each with the rights of a role */
  readonly roles: string;
  readonly seconds: number;
}
const rows: Row[] = [];

/** A file that takes longer than this hangs. */
const LIMIT_MS = 600_000;

async function run(server: string, file: string, path: string): Promise<Omit<Row, 'server' | 'file' | 'seconds'>> {
  const output = join(path, 'report.json');
  const rolesFile = join(path, 'roles');
  const options = ['--no-config', '--exit', '--forbid-only', '--timeout', '20000'];
  const withoutThose = ['--grep', Object.keys(CANNOT).join('|'), '--invert'];
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${output}`];
  const required = ['hooks', 'as-acl-user'].flatMap((name) => ['--require', `test/support/${name}.ts`]);
  const node = ['--node-option', 'import=tsx', '--node-option', 'unhandled-rejections=strict'];
  // tests start the `redis-server` that stands first on the PATH; redis-7.0 is the one that is installed
  if (server !== 'redis-7.0') symlinkSync(cached(server), join(path, 'redis-server'));
  const mocha = spawn(
    process.execPath,
    ['node_modules/mocha/bin/mocha.js', ...options, ...withoutThose, ...reporter, ...node, ...required, file],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: LIMIT_MS,
      env: {
        ...process.env,
        ESBUILD_WORKER_THREADS: '0',
        ACL_ROLES: rolesFile,
        PATH: `${path}${delimiter}${process.env.PATH}`,
      },
    },
  );
  let lastErrors = '';
  mocha.stderr.on('data', (bytes: Buffer) => (lastErrors = `${lastErrors}${bytes}`.slice(-2000)));
  const [code] = await once(mocha, 'exit');
  const roles = existsSync(rolesFile) ? readFileSync(rolesFile, 'utf8').trim().split('\n') : [];
  const users = [...new Set(roles)].sort().join(', ');
  if (!existsSync(output)) {
    process.stdout.write(lastErrors);
    return { result: `ended with ${code}`, failed: true, roles: users };
  }
  const { stats, failures } = JSON.parse(readFileSync(output, 'utf8')) as Report;
  for (const { fullTitle, err } of failures)
    process.stdout.write(`failed: ${server}: ${file}: ${fullTitle}: ${err.message?.split('\n')[0]}\n`);
  const counts = Object.entries({ passed: stats.passes, failed: stats.failures, pending: stats.pending });
  const texts = counts.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  // a file without tests, or without such a user, proves nothing: there is a mistake here or in as-acl-user.ts
  if (stats.passes + stats.pending + stats.failures === 0) texts.push('no test');
  if (stats.passes > 0 && roles.length === 0) texts.push('no user with limited rights');
  return {
    result: texts.join(', '),
    failed: code !== 0 || stats.failures > 0 || /^no |, no /.test(texts.join(', ')),
    roles: users,
  };
}

const line = (cells: readonly unknown[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`);
const print = ({ server, file, result, roles, seconds }: Row) => line([server, nameOf(file), result, roles, seconds]);

async function runAt(server: string, file: string): Promise<void> {
  const started = performance.now();
  const path = mkdtempSync(join(tmpdir(), 'server-'));
  try {
    const isInstalled = server === 'redis-7.0' || existsSync(cached(server));
    const outcome = isInstalled
      ? await run(server, file, path)
      : { result: 'no server: npm run servers', failed: Boolean(process.env.CI), roles: '' };
    const row = { server, file, ...outcome, seconds: Math.round((performance.now() - started) / 1000) };
    rows.push(row);
    print(row);
  } finally {
    rmSync(path, { recursive: true });
  }
}

const started = performance.now();
line(['server', 'file', 'tests', 'users', 'seconds']);
line(['---', '---', '---', '---', '---:']);
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await runAt(job.server, job.file);
  }),
);

process.stdout.write('\nNot run, by design\n\n');
for (const [name, reason] of Object.entries({ ...WITHOUT, ...CANNOT })) process.stdout.write(`- ${name}: ${reason}\n`);
process.stdout.write(`- ${ONCE.map(nameOf).join(', ')}: once, since they start a server of each kind themselves\n`);
process.stdout.write(`- ${TLS.map(nameOf).join(', ')}: on redis-7.0 alone, the others are built without TLS\n`);
const failed = rows.filter((row) => row.failed);
process.stdout.write(`\n${rows.length} files in ${Math.round((performance.now() - started) / 60_000)} minutes, `);
process.stdout.write(failed.length > 0 ? `${failed.length} failed:\n\n` : 'none failed\n');
for (const row of failed) print(row);
process.exitCode = failed.length > 0 ? 1 : 0;
