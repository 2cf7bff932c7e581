import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { RedisInstance, RedisMemoryServer } from 'redis-memory-server';

const WAYS = [
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
  /** a server's binary; by default one from the PATH, installed first if there is none */
  readonly binary?: string;
  readonly port?: number;
  readonly args?: readonly string[];
}

export async function startPrivateRedis({ binary, port, args = [] }: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const systemBinary = binary ?? findServer() ?? installServer();
  const binaryOptions = systemBinary === undefined ? {} : { binary: { systemBinary } };
  // RedisMemoryServer avoids a port that it used a moment ago: a server that comes back at its old one is made directly.
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
  const { instance, port: at } = await launch().catch((error) => {
    if (systemBinary === undefined) throw new Error(WAYS, { cause: error });
    throw error;
  });
  return {
    port: at,
    url: `redis://127.0.0.1:${at}`,
    pid: instance.childProcess?.pid as number,
    stop: async () => {
      await instance.kill();
    },
  };
}

function findServer(): string | undefined {
  for (const name of ['redis-server', 'valkey-server'])
    for (const folder of (process.env.PATH ?? '').split(delimiter))
      if (existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}

/** Only where it goes without asking; undefined leaves it to redis-memory-server's own build. */
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
