import calculateSlot from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import { type AclRole, type AclScope, type RightGroup, rightsOf } from '../../lib/acl/rights.js';
import { ruleOf } from '../../lib/acl/rule.js';
import { askServer } from '../../lib/acl/server.js';
import type { RedisOption } from '../../lib/index.js';
import { until } from './until.js';

/** Every user's password; the servers are private ones on loopback. */
const PASSWORD = 'a-password-of-the-tests';
export const NAMESPACE = 'shop:';

/** A server, or those of a Cluster, with a Redis user for each role; by `admin` the tests do what no role may. */
export class AclGround {
  readonly admin: Redis;
  readonly #nodes: readonly Redis[];
  /** Is the scenario to end? */
  #isOver = false;
  #toClose: (() => unknown)[] = [];
  scope!: AclScope;

  /** `ports`: of a Cluster the masters' first, in the order of their slots; `masters`: how many these are. */
  constructor(
    readonly ports: readonly number[],
    readonly masters = ports.length,
  ) {
    this.#nodes = ports.map((port) => new Redis({ port, protocol: 2 }));
    this.admin = this.#nodes[0] as Redis;
  }

  get port(): number {
    return this.ports[0] as number;
  }

  get isCluster(): boolean {
    return this.ports.length > 1;
  }

  get hasSelectors(): boolean {
    return this.scope.server.version[0] >= 7;
  }

  /** What rights depend on: this server's features, what is wanted, and defaults. */
  async scopeOf(wanted: Partial<AclScope>): Promise<AclScope> {
    return {
      server: await askServer(`redis://127.0.0.1:${this.port}`),
      namespace: NAMESPACE,
      keyPrefix: '',
      prefix: 'sess:',
      db: 0,
      transport: 'pubsub',
      replies: 'inbox',
      cluster: this.isCluster,
      sessionGlob: '*',
      commands: [],
      store: new Set(),
      bloom: 'auto',
      ...wanted,
    };
  }

  /** Empties the servers, and makes the users of these roles anew; `without` may take rights away. */
  async prepare(
    roles: readonly AclRole[],
    wanted: Partial<AclScope>,
    without: (role: AclRole, groups: RightGroup[]) => RightGroup[] = (_, groups) => groups,
  ): Promise<void> {
    this.scope = await this.scopeOf(wanted);
    this.#isOver = false;
    for (const [i, node] of this.#nodes.entries()) {
      if (i < this.masters) await node.flushall();
      await node.script('FLUSH'); // a script that is loaded would need no right to EVAL
      for (const role of roles) {
        const rule = ruleOf(without(role, rightsOf(role, this.scope)), this.scope.server);
        await node.call('ACL', 'SETUSER', role, 'reset', 'on', `>${PASSWORD}`, ...rule);
      }
      await node.call('ACL', 'LOG', 'RESET');
    }
  }

  /** The option `redis` of whoever connects as a role's user. */
  as(role: AclRole, port = this.port): RedisOption {
    const { db } = this.scope;
    if (!this.isCluster) return `redis://${role}:${PASSWORD}@127.0.0.1:${port}${db === 0 ? '' : `/${db}`}`;
    const nodes = this.ports.map((at) => ({ host: '127.0.0.1', port: at }));
    return new Cluster(nodes, { lazyConnect: true, redisOptions: { username: role, password: PASSWORD } });
  }

  /** A client of ioredis as a role's user; of no Cluster. */
  client(role: AclRole): Redis {
    const client = new Redis(this.as(role) as string);
    this.closing(() => client.disconnect());
    return client;
  }

  /** `close` is called at the scenario's end, the last first. */
  closing(close: () => unknown): void {
    this.#toClose.push(close);
  }

  /** As until(), but fails at once when the scenario is over. */
  until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
    return until(what, () => {
      if (this.#isOver) throw new Error(`over, before: ${what}`);
      return ask();
    });
  }

  /** Sends a command on a key to the node that holds it, with all rights. */
  ask<Reply = unknown>(command: string, key: string, ...args: readonly string[]): Promise<Reply> {
    const node = Math.floor((calculateSlot(key) * this.masters) / 16_384);
    return (this.#nodes[node] as Redis).call(command, key, ...args) as Promise<Reply>;
  }

  /** What Redis has refused since prepare(): whom, why, and which command, key or channel. */
  async refused(): Promise<string[]> {
    const all = await Promise.all(this.#nodes.map((node) => node.call('ACL', 'LOG') as Promise<string[][]>));
    return all.flat().map((entry) => {
      const field = (name: string) => entry[entry.indexOf(name) + 1];
      return `${field('username')} may not: ${field('reason')} ${field('object')}`;
    });
  }

  /** Ends the scenario. */
  async close(): Promise<void> {
    this.#isOver = true;
    for (const close of this.#toClose.splice(0).reverse()) await close();
  }

  /** Ends the ground's own connections. */
  end(): void {
    for (const node of this.#nodes) node.disconnect();
  }
}
