import { redisFault, OptionError } from '../errors/errors.js';
import { type RedisOption, whenReady } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { openTarget } from '../redis/open-target.js';
import type { ServerFeatures } from './scope.js';

/** How long connecting may take: somebody waits at a command line. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Parses a version, and refuses one before 6.2, which has no channels in ACLs, and no GETDEL. */
export function versionOf(text: string): ServerFeatures['version'] {
  const [, major, minor] = /^(\d{1,4})\.(\d{1,4})/.exec(text) ?? [];
  const version = [Number(major), Number(minor)] as const;
  if (major === undefined || version[0] < 6 || (version[0] === 6 && version[1] < 2))
    throw new OptionError('acl: the server’s version should be 6.2 or later, as 7.0');
  return version;
}

/**
 * Asks a server, or a master of a Cluster, for its features, by INFO and COMMAND INFO. A server that knows BF.INSERT has
 * RedisBloom; BF.CARD came with RedisBloom 2.4.4. Rejects where there is no connection within 5 s.
 */
export async function askServer(redis: RedisOption): Promise<ServerFeatures> {
  const target = openTarget(redis);
  try {
    await whenReady(target.client, CONNECT_TIMEOUT_MS);
    const [server] = target.masters();
    const [info, commands] = await Promise.all([
      server?.info('server'),
      server?.call('COMMAND', 'INFO', 'BF.INSERT', 'BF.CARD') as Promise<unknown[]>,
    ]);
    const isKnown = (command: unknown) => Array.isArray(command) && command.length > 0;
    return {
      version: versionOf(/^redis_version:(\S+)/m.exec(info ?? '')?.[1] ?? ''),
      bloom: isKnown(commands[0]) ? 'module' : 'fallback',
      bloomCard: isKnown(commands[1]),
    };
  } catch (error) {
    throw redisFault(error);
  } finally {
    endConnection(target.client);
  }
}
