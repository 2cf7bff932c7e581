import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { RedisMemoryServer } from 'redis-memory-server';

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
  const server = new RedisMemoryServer({
    autoStart: false,
    instance: { args: [...args], ...(port !== undefined && { port }) },
    ...(systemBinary !== undefined && { binary: { systemBinary } }),
  });
  try {
    await server.start();
  } catch (error) {
    if (systemBinary === undefined) throw new Error(WAYS, { cause: error });
    throw error;
  }
  const info = server.getInstanceInfo();
  const pid = info ? info.instance.childProcess?.pid : undefined;
  if (!info || pid === undefined) throw new Error('redis-server ended at once');
  return {
    port: info.port,
    url: `redis://127.0.0.1:${info.port}`,
    pid,
    stop: async () => {
      await server.stop();
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
