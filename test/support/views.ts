import type { Cluster, Redis } from 'ioredis';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';

/** How many page views are counted for a session, from its string `activity` (WIRE.md, "Keys"). */
export async function viewsOf(client: Redis | Cluster, namespace: string, sid: string): Promise<number> {
  const { activity } = intelligenceKeys(namespace, sid);
  const bytes = await client.getrangeBuffer(activity, 9, 12);
  return bytes.length === 4 ? bytes.readUInt32LE(0) : 0;
}
