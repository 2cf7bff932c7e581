import type { RedisClient } from '../../redis/connect.js';
import { GROUP } from '../protocol.js';

/**
 * Creates the workers' consumer group, and its stream, where there is none. The group begins at the stream's first entry: what
 * was added before there was a worker is worked on too. XGROUP CREATE
 */
export async function createGroup(client: RedisClient, key: string): Promise<void> {
  await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM').catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
}
