import type { RedisClient } from '../../redis/connect.js';
import { GROUP } from '../protocol.js';

/**
 * Creates the workers' consumer group, and its stream, where there is none, by XGROUP CREATE. The group begins at the stream's
 * first entry, so that messages from before the first worker are worked on, too.
 */
export async function createGroup(client: RedisClient, key: string): Promise<void> {
  await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM').catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
}
