import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { GROUP } from '../protocol.js';

const script = new Script<0 | 1>(loadScript('lib/transport/stream/group.lua'));

/**
 * Creates the workers' consumer group, and its stream, where there is none. The group begins at the stream's first entry, so that messages
 * from before the first worker are worked on, too. One script.
 */
export async function createGroup(client: RedisClient, key: string): Promise<void> {
  await script.run(client, [key, GROUP]);
}
