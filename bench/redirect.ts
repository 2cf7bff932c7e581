/**
 * Who is logged out behind the redirect of a login: a browser follows a 303 as soon as its head is there. RedisSessionStore
 * beside connect-redis 9: npm run bench:redirect (--quick).
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { startPrivateRedis } from '../demo/private-redis.js';
import { messageOf } from './support/child-message.js';
import { quick, report } from './support/figures.js';
import type { Side } from './support/store-site.js';

const VISITORS = quick ? 50 : 200;
const sides: readonly Side[] = ['connect-redis 9', 'ours', 'ours, users'];
const redis = await startPrivateRedis();
const agent = new Agent({ keepAlive: true });

async function start(file: string, args: readonly string[]) {
  const child = fork(fileURLToPath(new URL(`./support/${file}`, import.meta.url)), args, {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const { port } = (await messageOf(child)) as { port: number };
  const stop = async () => {
    child.disconnect();
    await once(child, 'exit');
  };
  return { port, stop };
}

/** Asks, and goes on with the answer's head. */
function ask(port: number, path: string, cookie = ''): Promise<{ cookie: string; body: Promise<string> }> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, host: '127.0.0.1', agent, headers: { cookie } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      const body = once(response, 'end').then(() => text);
      resolve({ cookie: response.headers['set-cookie']?.[0]?.split(';')[0] ?? cookie, body });
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** So many of VISITORS are logged out on the page behind their login; `lanes` at once. */
async function loggedOut(login: string, at: number, next: number, lanes: number): Promise<number> {
  let [started, out] = [0, 0];
  const lane = async () => {
    while (started < VISITORS) {
      const number = started++;
      const anonymous = await ask(at, '/anonymous');
      await anonymous.body;
      const entered = await ask(at, `${login}?user=${number}`, anonymous.cookie);
      const inside = await ask(next, '/inside', entered.cookie);
      if (JSON.parse(await inside.body).user !== String(number)) out++;
      await entered.body;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return out;
}

const far = await start('delaying-proxy.ts', [String(redis.port), '1']);
const rows: object[] = [];
for (const [where, url] of [
  ['here', redis.url],
  ['1 ms away', `redis://127.0.0.1:${far.port}`],
] as const)
  for (const side of sides) {
    const [site, another] = await Promise.all([
      start('store-site.ts', [side, url]),
      start('store-site.ts', [side, url]),
    ]);
    for (const login of ['/enter', '/assign'])
      rows.push({
        Redis: where,
        side,
        login: login === '/enter' ? 'regenerate()' : 'assignment',
        visitors: VISITORS,
        'out, same process': await loggedOut(login, site.port, site.port, 1),
        'out, another process': await loggedOut(login, site.port, another.port, 1),
        'out, another process, 32 at once': await loggedOut(login, site.port, another.port, 32),
      });
    await Promise.all([site.stop(), another.stop()]);
  }
await far.stop();
agent.destroy();
report('redirect', { 'logged out behind the redirect of a login': rows });
await redis.stop();
