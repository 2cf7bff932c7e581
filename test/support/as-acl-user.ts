/**
 * For `node --import`: every connection that the product makes, in this process and in its children, is made as a user that has
 * its role's rights (lib/acl/rights.ts) and no others; what a test connects itself keeps all rights.
 */
import { appendFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import { TLSSocket } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { ServerFeatures } from '../../lib/acl/rights.js';
import { ruleOf } from '../../lib/acl/rule.js';
import { versionOf } from '../../lib/acl/server.js';
import { type Role, rightsOfSuite } from './acl-suite.js';

const PASSWORD = 'a-password-of-the-tests';
/** The option travels with `duplicate()`, and is given to the nodes of a Cluster. */
type Marked = RedisOptions & { aclRole?: Role };
interface Inside {
  options: Marked;
  condition: { auth?: unknown };
  connector: { connect(...args: unknown[]): Promise<Socket> };
}

/** Folders whose connections are some role's; a test calls the others itself. */
const OURS = new RegExp(`${resolve(import.meta.dirname, '../..')}/(dist/)?lib/(?!acl/|bloom|redis/)`);

/** Who makes a connection is told by who calls: undefined for a test. */
function callerOf(): Role | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 60;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  // a Sentinel has users of its own
  if (/SentinelConnector|SentinelWatch\.#connect|\/lib\/acl\//.test(stack)) return undefined;
  if (/\/lib\/serving\/local-executor\./.test(stack)) return 'embedded';
  if (/\/lib\/notifications\/(visitor-notifications|list-changes)\./.test(stack)) return 'serving';
  if (/\/lib\/notifications\//.test(stack)) return 'notifications';
  if (/\/lib\/worker\//.test(stack)) return 'worker';
  if (/\/lib\/(serving|session|transport\/replies)\//.test(stack)) return 'serving';
  if (OURS.test(stack)) throw new Error(`it is not known whose connection this is: ${stack}`);
  return undefined;
}

const connect = Redis.prototype.connect;
Redis.prototype.connect = function (this: Redis, ...args) {
  const client = this as unknown as Inside;
  const role = client.options.aclRole ?? callerOf();
  // a test's own user stays
  if (role && !client.options.username && !Object.hasOwn(client.connector, 'connect')) {
    client.options.aclRole = role;
    const open = client.connector.connect.bind(client.connector);
    client.connector.connect = async (...connectArgs) => {
      const stream = await open(...connectArgs);
      const become = async () => {
        if (await becomes(stream, role, client.options)) client.condition.auth = [role, PASSWORD];
      };
      if (stream instanceof TLSSocket) beforeConnected(stream, 'secureConnect', become);
      else if (stream.connecting) beforeConnected(stream, 'connect', become);
      else await become();
      return stream;
    };
  }
  return connect.apply(this, args);
};

/** The client hears that it is connected when this is done; its own limits and its closing count meanwhile. */
function beforeConnected(stream: Socket, connected: string, act: () => Promise<void>): void {
  const emit = stream.emit.bind(stream) as (event: string | symbol, ...args: unknown[]) => boolean;
  stream.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== connected) return emit(event, ...args);
    stream.emit = emit as Socket['emit'];
    act().then(
      () => stream.destroyed || emit(connected),
      (error) => stream.destroy(error),
    );
    return true;
  }) as Socket['emit'];
}

const connectCluster = Cluster.prototype.connect;
Cluster.prototype.connect = function (this: Cluster) {
  const role = callerOf();
  if (role) {
    // the pool's are a copy that the constructor has made
    const { connectionPool } = this as unknown as { connectionPool: { redisOptions: Marked } };
    for (const options of [(this.options.redisOptions ??= {}), connectionPool.redisOptions])
      Object.assign(options, { aclRole: role });
  }
  return connectCluster.apply(this);
};

/** Servers that have a user, by run_id and role; a server is busy with a long rule, so that one connection makes it for all. */
const ready = new Set<string>();
const making = new Map<string, Promise<unknown>>();

/** Makes the role's user, on the connection that it is for: false where the server does not let us. */
async function becomes(stream: Socket, role: Role, options: Marked): Promise<boolean> {
  if (stream.destroyed) return false;
  const ask = asking(stream);
  try {
    if (options.password) await ask('AUTH', options.password);
    const info = await ask('INFO', 'server');
    const id = `${/run_id:(\w+)/.exec(info)?.[1]} ${role}`;
    while (!ready.has(id)) {
      const other = making.get(id);
      const made = other ?? makeUser(ask, role, info);
      if (!other) making.set(id, made);
      try {
        await made;
        ready.add(id);
      } catch (error) {
        if (!other) throw error;
      } finally {
        if (!other) making.delete(id);
      }
    }
    return true;
  } catch (error) {
    if (!/^-(NOAUTH|WRONGPASS|LOADING)|closed/.test(String(error))) throw error;
    return false; // as the test wants it
  }
}

async function makeUser(ask: ReturnType<typeof asking>, role: Role, info: string): Promise<void> {
  const module = /name=bf,/.test(await ask('INFO', 'modules'));
  const server: ServerFeatures = {
    version: versionOf(/redis_version:(\S+)/.exec(info)?.[1] ?? ''),
    bloom: module ? 'module' : 'fallback',
    bloomCard: true,
  };
  await ask('ACL', 'SETUSER', role, 'reset', 'on', `>${PASSWORD}`, ...ruleOf(rightsOfSuite(role, server), server));
  if (process.env.ACL_ROLES) appendFileSync(process.env.ACL_ROLES, `${role}\n`);
}

/** One command after the other on a plain connection: a reply is a line, or a text of so many bytes. */
const asking =
  (stream: Socket) =>
  async (command: string, ...args: readonly string[]): Promise<string> => {
    const words = [command, ...args];
    const wire = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
    stream.write(`*${words.length}\r\n${wire}`);
    let text = '';
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        stream.off('data', hear).off('close', lost).off('error', lost).pause();
        act();
      };
      const lost = () => settle(() => reject(new Error('closed')));
      const hear = (bytes: Buffer) => {
        text += bytes.toString('latin1');
        const [, sign, length] = /^([+$:-])(\d*)[^]*?\r\n/.exec(text) ?? [];
        if (!sign) return;
        const whole = text.indexOf('\r\n') + 2 + (sign === '$' ? Number(length) + 2 : 0);
        if (text.length < whole) return;
        settle(() => (sign === '-' ? reject(new Error(text)) : resolve(text)));
      };
      stream.on('data', hear).on('close', lost).on('error', lost).resume();
    });
  };

// what this process starts does the same
process.env.NODE_OPTIONS = `--import tsx --import ${import.meta.filename}`;
