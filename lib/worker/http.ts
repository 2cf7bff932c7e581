import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { faultText, OptionError } from '../errors/errors.js';
import type { Worker } from './worker.js';

type Answer = [status: number, contentType: string, body: string];

/**
 * How many connections there may be. Each is closed after one answer: whoever sends requests and reads nothing fills no memory.
 */
const MAX_CONNECTIONS = 64;

/**
 * Serves what Prometheus and a cluster manager ask: `/metrics`; `/healthz`: is the process alive; `/readyz`: does the worker
 * listen (503 where it does not). No id and no payload is in any answer.
 */
export async function serveHttp(worker: Worker, port: number, host: string): Promise<Server> {
  // Where prom-client is not installed, this throws a coded error at start, rather than at each request.
  const { metrics } = worker;
  // Requests that come while the text is being made share it.
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
    if (answered.has(req.socket)) return; // This connection gets no second answer, and is closed.
    answered.add(req.socket);
    void answerTo(req.url?.split('?', 1)[0])
      .catch((error): Answer => [500, 'text/plain', `${faultText(error)}\n`])
      .then(([status, contentType, body]) =>
        res.writeHead(status, { 'content-type': contentType, connection: 'close' }).end(body),
      );
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw new OptionError(`--metrics-port: can't listen at ${host}, port ${port} (${error.code})`);
  });
  return server;
}
