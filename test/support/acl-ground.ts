import calculateSlot from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import { type AclRole, type AclScope, type RightGroup, rightsOf } from '../../lib/acl/rights.js';
import { ruleOf } from '../../lib/acl/rule.js';
import { askServer } from '../../lib/acl/server.js';
import type { RedisOption } from '../../lib/index.js';
import { until } from './until.js';

/** Of every user here; the servers are private ones on loopback. */
const PASSWORD = 'a-password-of-the-tests';
export const NAMESPACE = 'shop:';

/** A server, or a Cluster's, with a user for each role; `admin` may do everything, and is the tests' own. */
export class AclGround {
  readonly admin: Redis;
  readonly #nodes: readonly Redis[];
  /** a scenario is to end */
  #over = false;
  #open: (() => unknown)[] = [];
  scope!: AclScope;

  /** Of a Cluster, the masters first, in the order of their slots. */
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

  /** What the rights of a scenario depend on, here. */
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

  /** Empties the servers, and makes the users of some roles anew; `without` takes rights away. */
  async prepare(
    roles: readonly AclRole[],
    wanted: Partial<AclScope>,
    without: (role: AclRole, groups: RightGroup[]) => RightGroup[] = (_, groups) => groups,
  ): Promise<void> {
    this.scope = await this.scopeOf(wanted);
    this.#over = false;
    for (const [i, node] of this.#nodes.entries()) {
      if (i < this.masters) await node.flushall();
      await node.script('FLUSH'); // what is loaded already needs no EVAL
      for (const role of roles) {
        const rule = ruleOf(without(role, rightsOf(role, this.scope)), this.scope.server);
        await node.call('ACL', 'SETUSER', role, 'reset', 'on', `>${PASSWORD}`, ...rule);
      }
      await node.call('ACL', 'LOG', 'RESET');
    }
  }

  /** Where a role connects, as its user. */
  as(role: AclRole, port = this.port): RedisOption {
    const { db } = this.scope;
    if (!this.isCluster) return `redis://${role}:${PASSWORD}@127.0.0.1:${port}${db === 0 ? '' : `/${db}`}`;
    const nodes = this.ports.map((at) => ({ host: '127.0.0.1', port: at }));
    return new Cluster(nodes, { lazyConnect: true, redisOptions: { username: role, password: PASSWORD } });
  }

  /** A plain client of a role. */
  client(role: AclRole): Redis {
    const client = new Redis(this.as(role) as string);
    this.closing(() => client.disconnect());
    return client;
  }

  /** Is closed at the end, the last first. */
  closing(close: () => unknown): void {
    this.#open.push(close);
  }

  /** Waits as long as the scenario is not over. */
  until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
    return until(what, () => {
      if (this.#over) throw new Error(`over, before: ${what}`);
      return ask();
    });
  }

  /** Asks the node that holds a key, with all rights. */
  ask<Reply = unknown>(command: string, key: string, ...args: readonly string[]): Promise<Reply> {
    const node = Math.floor((calculateSlot(key) * this.masters) / 16_384);
    return (this.#nodes[node] as Redis).call(command, key, ...args) as Promise<Reply>;
  }

  /** What Redis refused, as it notes it: command, key or channel. */
  async refused(): Promise<string[]> {
    const all = await Promise.all(this.#nodes.map((node) => node.call('ACL', 'LOG') as Promise<string[][]>));
    return all.flat().map((entry) => {
      const field = (name: string) => entry[entry.indexOf(name) + 1];
      return `${field('username')} may not: ${field('reason')} ${field('object')}`;
    });
  }

  async close(): Promise<void> {
    this.#over = true;
    for (const close of this.#open.splice(0).reverse()) await close();
  }

  end(): void {
    for (const node of this.#nodes) node.disconnect();
  }
}
