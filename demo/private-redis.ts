import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { RedisInstance, RedisMemoryServer } from 'redis-memory-server';

const HOW_TO_GET_REDIS = [
  'No redis-server was found, and none could be installed. Any of these will do:',
  '  - install one: apt-get install redis-server, brew install redis, or valkey-server',
  '  - point REDIS_URL at a Redis of yours (demo only)',
  '  - install make and a C compiler, and run again: redis-memory-server then builds one',
].join('\n');

/** A private Redis on a free port, with nothing on disk; for the demo and for the tests. */
export interface PrivateRedis {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface PrivateRedisOptions {
  /** A server's binary. @default one from the PATH, installed first if there is none */
  readonly binary?: string;
  /** @default any that is free */
  readonly port?: number;
  readonly args?: readonly string[];
  /**
   * Asked of whoever connects, and part of `url`; whoever gives it may not administer the server (CONFIG, DEBUG, SAVE, MODULE…): any
   * user of this machine reaches the port. Letters, digits, `-` and `_`. @default none
   */
  readonly password?: string;
}

export async function startPrivateRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const { binary, port, args: givenArgs = [], password } = options;
  const secretFolder = password === undefined ? undefined : await writeSecret(password);
  const args = secretFolder === undefined ? givenArgs : [...givenArgs, '--include', join(secretFolder, 'users.conf')];

  const systemBinary = binary ?? findServer() ?? installServer();
  const binaryOptions = systemBinary === undefined ? {} : { binary: { systemBinary } };
  // RedisMemoryServer avoids a port that it used a moment ago: a server at a given port, perhaps its old one, is made directly.
  const launch = async () => {
    if (port !== undefined) {
      const instance = await RedisInstance.run({
        instance: { port, ip: '127.0.0.1', args: [...args] },
        ...binaryOptions,
      });
      return { port, instance };
    }
    const server = new RedisMemoryServer({ autoStart: false, instance: { args: [...args] }, ...binaryOptions });
    await server.start();
    const info = server.getInstanceInfo();
    if (!info) throw new Error('redis-server ended at once');
    return info;
  };
  const launched = onFreePort(launch, port === undefined).catch((error) => {
    throw systemBinary === undefined ? new Error(HOW_TO_GET_REDIS, { cause: error }) : error;
  });
  await launched.catch(() => {});
  // the server has read the file, or has not started
  if (secretFolder) await rm(secretFolder, { recursive: true });
  const { instance, port: usedPort } = await launched;
  return {
    port: usedPort,
    url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${usedPort}`,
    pid: instance.childProcess?.pid as number,
    stop: async () => {
      await instance.kill();
    },
  };
}

/** Another process may take a free port, or that of a Cluster's bus, before the server does: then another port is tried. */
async function onFreePort<T>(launch: () => Promise<T>, mayMove: boolean, tries = 5): Promise<T> {
  try {
    return await launch();
  } catch (error) {
    if (!mayMove || tries === 1 || !/already in use/.test(String(error))) throw error;
    return onFreePort(launch, mayMove, tries - 1);
  }
}

/** A folder that only this user can read, with the account in a file: an argument of the server would be in the list of processes. */
async function writeSecret(password: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'private-redis-'));
  const account = `user default on >${password} ~* &* +@all -@admin`;
  await writeFile(join(folder, 'users.conf'), `protected-mode yes\n${account}\n`, { mode: 0o600 });
  return folder;
}

function findServer(): string | undefined {
  for (const name of ['redis-server', 'valkey-server'])
    for (const folder of (process.env.PATH ?? '').split(delimiter))
      if (existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}

/** Installs only where nobody is asked anything. Undefined: it is not installed, and redis-memory-server builds one. */
function installServer(): string | undefined {
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 2, 2] });
  process.stderr.write('No redis-server on the PATH: installing one\n');
  try {
    if (process.platform === 'darwin') run('brew', 'install', 'redis');
    else {
      const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
      const apt = (...args: string[]) => {
        const [command = 'apt-get', ...rest] = [...sudo, 'apt-get', ...args];
        run(command, ...rest);
      };
      apt('update', '-qq');
      apt('install', '-y', '-qq', 'redis-server');
    }
  } catch {
    return undefined;
  }
  return findServer();
}
