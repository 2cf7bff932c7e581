import { createServer } from 'node:http';
import { startPrivateRedis } from './private-redis.js';
import { createShop } from './shop.js';
import { WorkerProcess } from './worker-process.js';

const port = Number(process.env.PORT ?? 3379);

async function main(): Promise<void> {
  const own = process.env.REDIS_URL === undefined ? await startPrivateRedis() : undefined;
  const redis = own?.url ?? (process.env.REDIS_URL as string);
  const worker = new WorkerProcess(['--redis', redis, '--namespace', 'shop:']);
  await worker.start();
  process.stdout.write(`worker: ${worker.banner}\n`);

  const { app, sessions } = createShop({ redis, namespace: 'shop:', secret: 'only for the demo' }, worker);
  const server = createServer(app).listen(port, () => {
    const address = server.address();
    const at = typeof address === 'object' ? address?.port : port;
    process.stdout.write(`shop:   http://localhost:${at}  (Ctrl-C stops everything)\n`);
  });
  const stop = async () => {
    server.close();
    server.closeAllConnections();
    await Promise.all([sessions.close(), worker.stop()]);
    await own?.stop();
    process.exit(0);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
});
