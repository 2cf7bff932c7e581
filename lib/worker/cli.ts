import { Command } from 'commander';
import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { integer } from '../options/checks.js';
import { addFlags } from '../options/flags.js';
import { about } from '../options/option-facts.js';
import { redisFlags, redisOfFlags } from '../redis/target-of-urls.js';
import { whenParentEnds } from './when-parent-ends.js';
import { readCombos, readCommands } from './command-line-files.js';
import { serveHttp } from './http.js';
import { schema, type WorkerOptions } from './options.js';
import { Worker } from './worker.js';

/** The flags that the command line has beside those of the worker's options. */
export const commandLineSchema = v.strictObject({
  cluster: redisFlags.cluster,
  sentinel: redisFlags.sentinel,
  metricsPort: v.pipe(
    v.optional(integer(0, 65_535)),
    about('Serves [`/metrics`, `/healthz` and `/readyz`](metrics.md#the-worker) on this port.', { flag: '<port>' }),
  ),
  metricsHost: v.pipe(
    v.optional(v.string()),
    about('On which address that is; `0.0.0.0` for whoever reaches the machine.', {
      defaultText: '`127.0.0.1`',
      flag: '<address>',
    }),
  ),
});

/** The options as the flags give them: `combos` and `commands` are names of files. */
type Flags = Omit<WorkerOptions, 'combos' | 'commands'> &
  v.InferOutput<typeof commandLineSchema> & { readonly combos?: string; readonly commands?: string };

/** The subcommand `intelligent-session worker`. */
export function workerCommand(): Command {
  const command = new Command('worker').description(
    'The session microservice: works on what Express processes ask through Redis.',
  );
  const { redis, client: _client, url, ...entries } = schema.entries;
  // the help shows the flags in this order: where Redis is comes first
  addFlags(command, { entries: { redis, url, ...commandLineSchema.entries, ...entries } });
  return command.action(runWorker);
}

async function runWorker(flags: Flags): Promise<void> {
  const { redis, url, cluster, sentinel, combos, commands, metricsPort, metricsHost, ...options } = flags;
  if (metricsHost !== undefined && metricsPort === undefined)
    throw new OptionError('--metrics-host is without effect: it needs --metrics-port');
  const worker = new Worker({
    ...options,
    redis: redisOfFlags({ redis, url, cluster, sentinel }, 'worker'),
    ...(combos !== undefined && { combos: await readCombos(combos) }),
    ...(commands !== undefined && { commands: await readCommands(commands) }),
    log: {
      info: (message) => process.stdout.write(`${message}\n`),
      warn: (message) => process.stderr.write(`${message}\n`),
    },
  });
  const server =
    metricsPort === undefined ? undefined : await serveHttp(worker, metricsPort, metricsHost ?? '127.0.0.1');
  let isStopping = false;
  const stop = () => {
    isStopping = true;
    void worker.close().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  whenParentEnds(stop);
  await worker.start().catch((error) => {
    if (isStopping) return; // it was closed while it started, which is no mistake
    server?.close();
    throw error;
  });
}
