import { resolveShape } from '../bloom/bloom-options.js';
import type { ItemSecretOption } from '../options/item-secrets.js';
import { IntelligentSessionError, newerVersion } from '../errors/errors.js';
import { shapeKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisClient } from '../redis/client.js';
import { warn } from '../errors/warnings.js';
import { isKeyed } from './item-key.js';

const VERSION = '1';
const script = new Script<string[]>(loadScript('lib/intelligence/shape.lua'));

/** The options by which stored data is read: all processes of a namespace use the same values. */
export interface Shape {
  readonly activityDays: number;
  readonly errorRate: number;
  readonly capacity: number;
  readonly expansion: number;
}

const OPTIONS = ['activityDays', 'errorRate', 'capacity', 'expansion'] as const;
type Values = [number, number, number, number];
/** The most that the option `activityDays` takes. */
export const MAX_ACTIVITY_DAYS = 366;

export interface ShapeOptions extends Shape {
  readonly itemSecret?: ItemSecretOption | undefined;
  /** Does this process get items that no other has keyed? Without the secret it then can't find what was stored with it. */
  readonly keysItems: boolean;
}

/** How often a process stores the shape again where it is missing, as in a database that was emptied. */
const RENEW_MS = 5_000;

/**
 * The shape that a namespace's processes share, stored under one key by the first of them (WIRE.md, "Shape"). A process that
 * has other options warns once, and uses what is stored: else two processes would undo each other's rings and filters.
 */
export class SharedShape {
  readonly #key: string;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasWarned = false;
  #hasToldFault = false;

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly own: ShapeOptions,
    readonly onFault: (error: IntelligentSessionError) => void,
  ) {
    this.#key = shapeKey(namespace);
  }

  /**
   * Gives the shape to use, by one script call. Rejects with a coded error, and writes nothing, where what is stored can't be
   * read.
   */
  async read(): Promise<Shape> {
    const [shape, lacksSecret] = await Promise.all([this.#storedShape(this.own), this.#lacksSecret()]);
    this.#warnWhereOther(shape, this.own, 'The stored values are used here', lacksSecret);
    if (!this.#timer && !this.#isClosed) this.#timer = setInterval(() => this.#renew(shape), RENEW_MS).unref();
    return shape;
  }

  /** Stores the used shape again where it was removed, and warns where another one is stored. */
  #renew(used: Shape): void {
    if (this.client.status !== 'ready') return;
    Promise.all([this.#storedShape(used), this.#lacksSecret()]).then(
      ([stored, lacksSecret]) => {
        this.#hasToldFault = false;
        this.#warnWhereOther(
          stored,
          used,
          'They were stored while this process ran, which keeps its own until it is started again',
          lacksSecret,
        );
      },
      (error) => {
        // a fault of Redis is told by the commands that meet it; a stored shape that can't be read is told here alone
        if (this.#hasToldFault || this.#isClosed || !(error instanceof IntelligentSessionError)) return;
        this.#hasToldFault = true;
        this.onFault(error);
      },
    );
  }

  /** Has this process no secret, where it gets items that are not keyed and others have a secret? */
  async #lacksSecret(): Promise<boolean> {
    const { itemSecret, keysItems } = this.own;
    return itemSecret === undefined && keysItems && isKeyed(this.client, this.namespace);
  }

  /** Gives the stored shape. Stores this one where there was none. */
  async #storedShape(shape: Shape): Promise<Shape> {
    const fields = OPTIONS.flatMap((name) => [name, String(shape[name])]);
    const reply = await script.run(this.client, [this.#key, VERSION, ...fields]).catch((error) => {
      // what is no hash is taken for a later version's
      throw String(error).includes('WRONGTYPE') ? this.#newerVersion() : error;
    });
    const stored = new Map<string, string>();
    for (let i = 0; i < reply.length; i += 2) stored.set(reply[i] as string, reply[i + 1] as string);
    if (stored.get('version') !== VERSION) throw this.#newerVersion();
    const [activityDays, errorRate, capacity, expansion] = OPTIONS.map((name) => Number(stored.get(name))) as Values;
    const areDaysValid = Number.isInteger(activityDays) && activityDays >= 1 && activityDays <= MAX_ACTIVITY_DAYS;
    if (!areDaysValid || !isBloomShape({ errorRate, capacity, expansion })) throw this.#newerVersion();
    return { activityDays, errorRate, capacity, expansion };
  }

  #newerVersion = () => newerVersion(`The shape of this namespace's data (key "${this.#key}")`);

  #warnWhereOther(stored: Shape, own: Shape, what: string, lacksSecret: boolean): void {
    const others = OPTIONS.filter((name) => stored[name] !== own[name]).map(
      (name) => `"${name}" is ${own[name]} here and ${stored[name]} there`,
    );
    if (lacksSecret) others.push('"itemSecret" is missing here, so what was seen with it is not found');
    if (others.length === 0 || this.#hasWarned) return;
    this.#hasWarned = true;
    warn(
      'INTELLIGENT_SESSION_SHAPE',
      `Another process stored how this namespace's data is read, and has other options: ${others.join('; ')}. ${what}. ` +
        `To change it, stop all processes of the namespace, delete the key "${this.#key}", and start them with the new options`,
    );
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }
}

/** Has a process that carries out commands used this namespace? One HGET. */
export const isShaped = async (client: RedisClient, namespace: string): Promise<boolean> =>
  (await client.hget(shapeKey(namespace), 'version')) !== null;

function isBloomShape(shape: Omit<Shape, 'activityDays'>): boolean {
  try {
    return resolveShape(shape) !== undefined;
  } catch {
    return false; // it throws an OptionError, though these values are no user's options
  }
}
