import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { faultText, OptionError } from '../errors/errors.js';
import type { Worker } from './worker.js';

type Answer = [status: number, type: string, text: string];

/** So many connections at once. Each gets one answer and is then closed: whoever sends many requests and reads nothing fills no memory. */
const MAX_CONNECTIONS = 64;

/**
 * Serves what Prometheus and a cluster manager ask: `/metrics`; `/healthz`: is the process alive; `/readyz`: does the worker
 * listen (503 where it does not). No id and no payload is in any answer.
 */
export async function serveHttp(worker: Worker, port: number, host: string): Promise<Server> {
  // Where prom-client is not installed, this is a coded error before anybody asks.
  const { metrics } = worker;
  // Those who ask at the same time share one text.
  let text: Promise<string> | undefined;
  const metricsText = () => {
    text ??= metrics.metrics().finally(() => {
      text = undefined;
    });
    return text;
  };
  const answers: Record<string, () => Promise<Answer>> = {
    '/metrics': async () => [200, metrics.contentType, await metricsText()],
    '/healthz': async () => [200, 'text/plain', 'ok\n'],
    '/readyz': async () =>
      (await worker.isReady()) ? [200, 'text/plain', 'ready\n'] : [503, 'text/plain', 'does not listen\n'],
  };
  const answerTo = async (path = ''): Promise<Answer> =>
    (await answers[path]?.()) ?? [404, 'text/plain', `${Object.keys(answers).join(', ')}\n`];
  const answered = new WeakSet<Socket>();
  const server = createServer((req, res) => {
    if (answered.has(req.socket)) return; // The connection is being closed.
    answered.add(req.socket);
    void answerTo(req.url?.split('?', 1)[0])
      .catch((error): Answer => [500, 'text/plain', `${faultText(error)}\n`])
      .then(([status, type, body]) => res.writeHead(status, { 'content-type': type, connection: 'close' }).end(body));
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw new OptionError(`--metrics-port: can't listen at ${host}, port ${port} (${error.code})`);
  });
  return server;
}
