import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { whenParentEnds } from '../lib/worker/when-parent-ends.js';
import { startPrivateRedis } from './private-redis.js';
import { createShop } from './shop.js';
import { WorkerProcess } from './worker-process.js';

const randomText = () => randomBytes(24).toString('base64url');

/** The names of a shop that listens at `host`; the variable HOSTS has those that this machine does not know of (a proxy's, a container's). */
function namesOf(host: string): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((all = []) =>
    all.map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address)),
  );
  const everywhere = host === '0.0.0.0' || host === '::';
  return [
    ...(everywhere
      ? [hostname().toLowerCase(), ...addresses]
      : [host.includes(':') ? `[${host}]` : host.toLowerCase()]),
    ...(process.env.HOSTS ?? '').split(',').filter(Boolean),
  ];
}

async function main(): Promise<void> {
  const {
    PORT = '3379',
    HOST = '127.0.0.1',
    REDIS_URL,
    SESSION_SECRET = randomText(),
    STAFF_PASSWORD = randomText(),
  } = process.env;
  /** Answers all requests: 503 until the shop is there. */
  let handler: RequestListener = (_req, res) =>
    void res.writeHead(503, { 'retry-after': '1' }).end('The shop opens in a second.\n');
  const server = createServer((req, res) => handler(req, res));
  /** Each stops one thing that was started; the first is called last. */
  const stops: (() => Promise<unknown>)[] = [];
  let stopping: Promise<void> | undefined;
  const stopAll = async (code: number) => {
    server.close();
    server.closeAllConnections();
    for (const stop of stops.reverse()) await stop().catch(() => {});
    process.exit(code);
  };
  const stop = (code = 0) => {
    stopping ??= stopAll(code);
    return stopping;
  };
  process.once('SIGINT', () => void stop()).once('SIGTERM', () => void stop());
  whenParentEnds(() => void stop());

  try {
    // the port first: where it is taken, nothing else has been started
    server.listen(Number(PORT), HOST);
    await once(server, 'listening');

    const starting = REDIS_URL === undefined ? startPrivateRedis({ password: randomText() }) : undefined;
    stops.push(async () => (await starting)?.stop());
    const privateRedis = await starting;
    const redis = privateRedis?.url ?? (REDIS_URL as string);
    const worker = new WorkerProcess(['--namespace', 'shop:'], 'inherit', { REDIS_URL: redis });
    stops.push(() => worker.stop());
    await worker.start();
    process.stdout.write(`worker: ${worker.banner}\n`);

    const shop = createShop(
      { redis, namespace: 'shop:', secret: SESSION_SECRET },
      { worker, hosts: namesOf(HOST), staffPassword: STAFF_PASSWORD },
    );
    stops.push(() => shop.close());
    handler = shop.app;
    const { port } = server.address() as AddressInfo;
    const name = HOST === '127.0.0.1' ? 'localhost' : HOST.includes(':') ? `[${HOST}]` : HOST;
    const staff = process.env.STAFF_PASSWORD === undefined ? `staff:  /staff, password ${STAFF_PASSWORD}\n` : '';
    process.stdout.write(`shop:   http://${name}:${port}  (Ctrl-C stops everything)\n${staff}`);
  } catch (error) {
    if (stopping) return;
    const { code, message } = error as NodeJS.ErrnoException;
    process.stderr.write(
      code === 'EADDRINUSE' ? `Port ${PORT} is taken: PORT=8080 npm start takes another one\n` : `${message}\n`,
    );
    await stop(1);
  }
}

void main();
