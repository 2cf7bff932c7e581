/** One visitor's flood of lists beside the others' page views: `npm run bench:attack`. */
import { WorkerProcess } from '../demo/worker-process.js';
import { flavours, missing, startServer } from '../test/support/servers.js';
import { flood } from '../test/support/flood.js';

const test = { skip: () => {} } as unknown as Mocha.Context;
for (const bloom of ['fallback', 'module'] as const) {
  const flavour = flavours.find((one) => one.server === 'redis-7.0' && one.bloom === bloom);
  if (!flavour || missing(flavour)) continue;
  const redis = await startServer(test, flavour);
  const worker = new WorkerProcess(['--redis', redis.url, '--bloom', bloom], 'ignore');
  await worker.start();
  for (const lists of [0, 30]) {
    const figures = await flood(redis.url, lists === 0 ? { lists, addresses: 0 } : { lists });
    process.stdout.write(`${bloom}, ${lists} lists at a time: ${JSON.stringify(figures)}\n`);
  }
  const one = await flood(redis.url, { lists: 5, items: 10_000, addresses: 0 });
  process.stdout.write(`${bloom}, 5 lists of 10,000 at a time: ${JSON.stringify(one)}\n`);
  await worker.stop();
  await redis.stop();
}
