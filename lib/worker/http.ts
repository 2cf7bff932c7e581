import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { faultText } from '../errors/errors.js';
import type { Worker } from './worker.js';

type Answer = [status: number, type: string, text: string];

/**
 * What a cluster manager and Prometheus ask: `/metrics`; `/healthz`, is the process alive; `/readyz`, does the worker
 * listen (503 if not). No id and no payload is in any of them.
 */
export async function serveHttp(worker: Worker, port: number, host: string): Promise<Server> {
  // before anybody asks: a coded error where prom-client is not installed
  const { metrics } = worker;
  const answers: Record<string, () => Promise<Answer>> = {
    '/metrics': async () => [200, metrics.contentType, await metrics.metrics()],
    '/healthz': async () => [200, 'text/plain', 'ok\n'],
    '/readyz': async () =>
      (await worker.isReady()) ? [200, 'text/plain', 'ready\n'] : [503, 'text/plain', 'does not listen\n'],
  };
  const answerTo = async (path = ''): Promise<Answer> =>
    (await answers[path]?.()) ?? [404, 'text/plain', `${Object.keys(answers).join(', ')}\n`];
  const server = createServer((req, res) => {
    void answerTo(req.url?.split('?', 1)[0])
      .catch((error): Answer => [500, 'text/plain', `${faultText(error)}\n`])
      .then(([status, type, text]) => res.writeHead(status, { 'content-type': type }).end(text));
  });
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}
