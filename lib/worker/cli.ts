#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command, Option } from 'commander';
import type { NamedCombo, WorkerOptions } from './options.js';
import { Worker } from './worker.js';

async function main(): Promise<void> {
  const program = new Command('intelligent-session-worker')
    .description('The session microservice: works on what Express processes ask through Redis.')
    .addOption(new Option('--redis <url>', 'where Redis is').env('REDIS_URL').default('redis://127.0.0.1:6379'))
    .option('--namespace <text>', 'stands before every channel and key', '')
    .option('--session-glob <glob>', 'which sessions are this worker’s', '*')
    .addOption(new Option('--bloom <which>', 'Bloom filters').choices(['auto', 'module', 'fallback']).default('auto'))
    .option('--combos <file>', 'JSON: [{ "name": "…", "pages": ["…"] }]')
    .option('--commands <file>', 'an ES module whose default export is an object of commands')
    .parse();
  const { redis, namespace, sessionGlob, bloom, combos, commands } = program.opts();
  const options: WorkerOptions = {
    redis,
    namespace,
    sessionGlob,
    bloom,
    ...(combos && { combos: JSON.parse(await readFile(combos, 'utf8')) as NamedCombo[] }),
    ...(commands && { commands: (await import(pathToFileURL(resolve(commands)).href)).default }),
    log: {
      info: (message) => process.stdout.write(`${message}\n`),
      warn: (message) => process.stderr.write(`${message}\n`),
    },
  };
  const worker = new Worker(options);
  const stop = () => worker.close().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await worker.start();
}

main().catch((error: unknown) => {
  process.stderr.write(`intelligent-session-worker: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
});
