import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, Option } from 'commander';
import { placeOf } from '../redis/place.js';
import { serveHttp } from './http.js';
import type { NamedCombo, WorkerOptions } from './options.js';
import { Worker } from './worker.js';

/** `intelligent-session worker`. */
export function workerCommand(): Command {
  return new Command('worker')
    .description('The session microservice: works on what Express processes ask through Redis.')
    .addOption(new Option('--redis <url>', 'where Redis is').env('REDIS_URL').default('redis://127.0.0.1:6379'))
    .option('--cluster', 'the Redis at that URL is a node of a Cluster')
    .option('--sentinel <name>', 'that URL is a Sentinel’s; the name of the master that it watches')
    .option('--namespace <text>', 'stands before every channel and key', '')
    .addOption(new Option('--transport <how>', 'how requests travel').choices(['pubsub', 'stream']).default('pubsub'))
    .option('--session-glob <glob>', 'which sessions are this worker’s (pubsub)')
    .option('--shard <i/n>', 'the same for the i-th of n workers (pubsub)')
    .option('--partitions <n>', 'streams (stream); the same for all', Number, 16)
    .option('--max-message-age-seconds <n>', 'older ones are dropped (stream); the same for all', Number, 86_400)
    .option('--max-queue <n>', 'messages that may wait', Number, 20_000)
    .addOption(new Option('--bloom <which>', 'Bloom filters').choices(['auto', 'module', 'fallback']).default('auto'))
    .option('--error-rate <rate>', 'Bloom filters’ error rate', Number, 0.01)
    .option('--capacity <items>', 'Bloom filters’ first capacity', Number, 100)
    .option('--expansion <factor>', 'Bloom filters’ expansion', Number, 2)
    .addOption(
      new Option('--item-secret <text>', 'keys the items in filters; better in the environment than here').env(
        'INTELLIGENT_SESSION_ITEM_SECRET',
      ),
    )
    .option('--combos <file>', 'JSON: [{ "name": "…", "pages": ["…"] }]')
    .option('--command-timeout-ms <n>', 'how long an own command may take', Number, 30_000)
    .option('--commands <file>', 'an ES module whose default export is an object of commands')
    .option('--metrics-port <port>', 'serves /metrics, /healthz and /readyz', Number)
    .option('--metrics-host <address>', 'where: 0.0.0.0 for whoever reaches the machine', '127.0.0.1')
    .action(work);
}

async function work(flags: Record<string, any>): Promise<void> {
  const { redis, cluster, sentinel, combos, commands, metricsPort, metricsHost, ...plain } = flags;
  const options: WorkerOptions = {
    ...plain,
    redis: placeOf(redis, { cluster, sentinel }),
    ...(combos && { combos: JSON.parse(await readFile(combos, 'utf8')) as NamedCombo[] }),
    ...(commands && { commands: (await import(pathToFileURL(resolve(commands)).href)).default }),
    log: {
      info: (message) => process.stdout.write(`${message}\n`),
      warn: (message) => process.stderr.write(`${message}\n`),
    },
  };
  const worker = new Worker(options);
  const server = metricsPort === undefined ? undefined : await serveHttp(worker, metricsPort, metricsHost);
  const stop = () => worker.close().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await worker.start().catch((error) => {
    server?.close();
    throw error;
  });
}
