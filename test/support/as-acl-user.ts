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
/**
 * A connection's role is kept among its options, since these go on to what `duplicate()` makes, and to the nodes of a Cluster.
 */
type Marked = RedisOptions & { aclRole?: Role };
/** What ioredis has in a client and does not declare; by `condition.auth` it logs in. */
interface Inside {
  options: Marked;
  condition: { auth?: unknown };
  connector: { connect(...args: unknown[]): Promise<Socket> };
}

/** The folders whose code connects as some role. That of the others is called by tests themselves. */
const OURS = new RegExp(`${resolve(import.meta.dirname, '../..')}/(dist/)?lib/(?!acl/|bloom|redis/)`);

/** The role of whoever makes a connection, by the files on the call stack: undefined for a test. */
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
  // a user that a test gives stays; a connector of its own `connect` has been changed before
  if (role && !client.options.username && !Object.hasOwn(client.connector, 'connect')) {
    client.options.aclRole = role;
    const open = client.connector.connect.bind(client.connector);
    client.connector.connect = async (...connectArgs) => {
      const stream = await open(...connectArgs);
      const useRole = async () => {
        if (await ensureUser(stream, role, client.options)) client.condition.auth = [role, PASSWORD];
      };
      if (stream instanceof TLSSocket) beforeConnected(stream, 'secureConnect', useRole);
      else if (stream.connecting) beforeConnected(stream, 'connect', useRole);
      else await useRole();
      return stream;
    };
  }
  return connect.apply(this, args);
};

/** The client hears that it is connected only when `act` is done; meanwhile its time limits go on, and it may close. */
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
    // the connection pool has a copy of the options, which the constructor has made
    const { connectionPool } = this as unknown as { connectionPool: { redisOptions: Marked } };
    for (const options of [(this.options.redisOptions ??= {}), connectionPool.redisOptions])
      Object.assign(options, { aclRole: role });
  }
  return connectCluster.apply(this);
};

/** The users that there are, each by its server's run_id and its role. */
const ready = new Set<string>();
/** Those that are being made. A server is busy for a while with so long a rule, so one connection makes a user for all. */
const making = new Map<string, Promise<unknown>>();

/**
 * Makes the role's user, if there is none, on the connection that is to be that user's; false where the server does not let us.
 */
async function ensureUser(stream: Socket, role: Role, options: Marked): Promise<boolean> {
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
    return false; // the test wants a server that refuses or ends
  }
}

async function makeUser(ask: ReturnType<typeof asking>, role: Role, info: string): Promise<void> {
  const hasModule = /name=bf,/.test(await ask('INFO', 'modules'));
  const server: ServerFeatures = {
    version: versionOf(/redis_version:(\S+)/.exec(info)?.[1] ?? ''),
    bloom: hasModule ? 'module' : 'fallback',
    bloomCard: true,
  };
  await ask('ACL', 'SETUSER', role, 'reset', 'on', `>${PASSWORD}`, ...ruleOf(rightsOfSuite(role, server), server));
  if (process.env.ACL_ROLES) appendFileSync(process.env.ACL_ROLES, `${role}\n`);
}

/**
 * Sends one command at a time on a bare socket, and gives the reply as it came: a line, or a bulk string with its length before
 * it.
 */
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

// the Node processes that this one starts load this file as well
process.env.NODE_OPTIONS = `--import tsx --import ${import.meta.filename}`;
