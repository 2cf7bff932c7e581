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

/** Tests that have no place here: they measure or try ACLs, or name commands without end. README, "Test it". */
const WITHOUT = /least-privilege|rights|script-time|soak/;
const SAMPLE = ['contract/session-store', 'integration/intelligence', 'integration/serving', 'integration/stream'];
const SERVERS = ['redis-7.0', 'redis-6.2', 'redis-8.2', 'valkey-9.1'];
/** Tests that start the server on the PATH run on each; those that choose their servers themselves do so once. */
const of = (folder: string) =>
  readdirSync(`test/${folder}`)
    .filter((file) => file.endsWith('.test.ts') && !WITHOUT.test(file))
    .map((file) => `test/${folder}/${file}`);

const { values, positionals } = parseArgs({
  options: { sample: { type: 'boolean' }, on: { type: 'string', default: SERVERS.join() } },
  allowPositionals: true,
});
const files = values.sample ? SAMPLE.map((name) => `test/${name}.test.ts`) : [...of('contract'), ...of('integration')];

async function run(server: string, path: string): Promise<boolean> {
  if (server !== 'redis-7.0') {
    if (!existsSync(cached(server))) {
      process.stderr.write(`${server} is not there: npm run servers\n`);
      return !process.env.CI;
    }
    symlinkSync(cached(server), join(path, 'redis-server'));
  }
  const options = ['--no-config', '--forbid-only', '--timeout', '20000', '--reporter', process.env.REPORTER ?? 'dot'];
  const required = ['hooks', 'as-acl-user'].flatMap((name) => ['--require', `test/support/${name}.ts`]);
  const node = ['--node-option', 'import=tsx', '--node-option', 'unhandled-rejections=strict'];
  const mocha = spawn(
    process.execPath,
    [
      'node_modules/mocha/bin/mocha.js',
      ...options,
      ...node,
      ...required,
      ...(positionals.length > 0 ? positionals : files),
    ],
    {
      stdio: 'inherit',
      env: { ...process.env, ESBUILD_WORKER_THREADS: '0', PATH: `${path}${delimiter}${process.env.PATH}` },
    },
  );
  const [code] = await once(mocha, 'exit');
  return code === 0;
}

let ok = true;
for (const server of values.on.split(',')) {
  const path = mkdtempSync(join(tmpdir(), 'server-'));
  process.stdout.write(`\nunder ACLs: ${server}\n`);
  try {
    ok = (await run(server, path)) && ok;
  } finally {
    rmSync(path, { recursive: true });
  }
}
process.exitCode = ok ? 0 : 1;
