import { Command, Option } from 'commander';
import { OptionError, safeText } from '../errors/errors.js';
import { targetOfUrls } from '../redis/target-of-urls.js';
import { whenParentEnds } from './when-parent-ends.js';
import { readCombos, readCommands, withoutValues } from './command-line-files.js';
import { serveHttp } from './http.js';
import type { WorkerOptions } from './options.js';
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
    .option('--partitions <n>', 'streams (stream, default: 16); the same for all', whole('--partitions', 1, 256))
    .option(
      '--max-message-age-seconds <n>',
      'older ones are dropped (stream, default: 86400); the same for all',
      whole('--max-message-age-seconds', 1, 2 ** 31),
    )
    .option('--max-queue <n>', 'messages that may wait', whole('--max-queue', 1, 10_000_000), 20_000)
    .addOption(new Option('--bloom <which>', 'Bloom filters').choices(['auto', 'module', 'fallback']).default('auto'))
    .option('--error-rate <rate>', 'Bloom filters’ error rate', rate, 0.01)
    .option('--capacity <items>', 'Bloom filters’ first capacity', whole('--capacity', 1, 2 ** 30), 100)
    .option('--expansion <factor>', 'Bloom filters’ expansion', whole('--expansion', 1, 32_768), 2)
    .addOption(
      new Option('--item-secret <text>', 'keys the items in filters; better in the environment than here').env(
        'INTELLIGENT_SESSION_ITEM_SECRET',
      ),
    )
    .option('--combos <file>', 'JSON: [{ "name": "…", "pages": ["…"] }]')
    .option(
      '--command-timeout-ms <n>',
      'how long an own command may take',
      whole('--command-timeout-ms', 1, 3_600_000),
      30_000,
    )
    .option('--commands <file>', 'an ES module whose default export is an object of commands')
    .option('--metrics-port <port>', 'serves /metrics, /healthz and /readyz', whole('--metrics-port', 0, 65_535))
    .option('--metrics-host <address>', 'where (default: 127.0.0.1); 0.0.0.0 for whoever reaches the machine')
    .configureOutput({ outputError: (text, write) => write(`${safeText(withoutValues(text.trimEnd()))}\n`) })
    .action(work);
}

// oxlint-disable-next-line typescript/no-explicit-any -- each flag has been checked
async function work(flags: Record<string, any>): Promise<void> {
  const { redis, cluster, sentinel, combos, commands, metricsPort, metricsHost, ...plain } = flags;
  if (metricsHost !== undefined && metricsPort === undefined)
    throw new OptionError('--metrics-host is without effect: it needs --metrics-port');
  const options: WorkerOptions = {
    ...plain,
    redis: targetOfUrls(redis, { cluster, sentinel }),
    ...(combos !== undefined && { combos: await readCombos(combos) }),
    ...(commands !== undefined && { commands: await readCommands(commands) }),
    log: {
      info: (message) => process.stdout.write(`${message}\n`),
      warn: (message) => process.stderr.write(`${message}\n`),
    },
  };
  const worker = new Worker(options);
  const server =
    metricsPort === undefined ? undefined : await serveHttp(worker, metricsPort, metricsHost ?? '127.0.0.1');
  const stop = () => void worker.close().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  whenParentEnds(stop);
  await worker.start().catch((error) => {
    server?.close();
    throw error;
  });
}

const whole =
  (flag: string, min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw new OptionError(`${flag} should be a whole number from ${min} to ${max}`);
  };

function rate(text: string): number {
  const value = Number(text);
  if (value > 0 && value < 1) return value;
  throw new OptionError(`--error-rate should be a number over 0 and under 1`);
}
