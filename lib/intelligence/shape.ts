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

/** How stored data is read: all processes of a namespace use the same. */
export interface Shape {
  readonly activityDays: number;
  readonly errorRate: number;
  readonly capacity: number;
  readonly expansion: number;
}

const OPTIONS = ['activityDays', 'errorRate', 'capacity', 'expansion'] as const;
type Numbers = [number, number, number, number];
/** As the options have it. */
export const MAX_ACTIVITY_DAYS = 366;

export interface ShapeOptions extends Shape {
  readonly itemSecret?: ItemSecretOption | undefined;
  /** Does it work on items that nobody has keyed before? Without the secret it can't find what was stored with it. */
  readonly keysItems: boolean;
}

/** A shape that is not there any longer (a database that was emptied) is stored again after this. */
const RENEW_MS = 5_000;

/**
 * The shape that a namespace's processes share, stored under one key by the first of them (WIRE.md, "Shape"). Who has other
 * options is warned, once, and uses what is stored: two rings or filters of one session would undo each other.
 */
export class SharedShape {
  readonly #key: string;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #isWarned = false;
  #isFaultTold = false;

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly own: ShapeOptions,
    readonly onFault: (error: IntelligentSessionError) => void,
  ) {
    this.#key = shapeKey(namespace);
  }

  /** What to use, one script. Rejects with a coded error where the stored one can't be read: it stays as it is. */
  async read(): Promise<Shape> {
    const [shape, lacksSecret] = await Promise.all([this.#share(this.own), this.#lacksSecret()]);
    this.#warnWhereOther(shape, this.own, 'The stored values are used here', lacksSecret);
    if (!this.#timer && !this.#isClosed) this.#timer = setInterval(() => this.#renew(shape), RENEW_MS).unref();
    return shape;
  }

  /** For as long as this process uses a shape, no other takes its place unheard. */
  #renew(used: Shape): void {
    if (this.client.status !== 'ready') return;
    Promise.all([this.#share(used), this.#lacksSecret()]).then(
      ([stored, lacksSecret]) => {
        this.#isFaultTold = false;
        this.#warnWhereOther(
          stored,
          used,
          'They were stored while this process ran, which keeps its own until it is started again',
          lacksSecret,
        );
      },
      (error) => {
        // that Redis refuses them, the commands tell themselves; that what is stored can't be read, they don't
        if (this.#isFaultTold || this.#isClosed || !(error instanceof IntelligentSessionError)) return;
        this.#isFaultTold = true;
        this.onFault(error);
      },
    );
  }

  /** Would this process key pages, and has no secret where others have one? */
  async #lacksSecret(): Promise<boolean> {
    const { itemSecret, keysItems } = this.own;
    return itemSecret === undefined && keysItems && isKeyed(this.client, this.namespace);
  }

  /** The stored shape, which is this one where there was none. */
  async #share(shape: Shape): Promise<Shape> {
    const mine = OPTIONS.flatMap((name) => [name, String(shape[name])]);
    const reply = await script.run(this.client, [this.#key, VERSION, ...mine]).catch((error) => {
      throw String(error).includes('WRONGTYPE') ? this.#unknown() : error;
    });
    const stored = new Map<string, string>();
    for (let i = 0; i < reply.length; i += 2) stored.set(reply[i] as string, reply[i + 1] as string);
    if (stored.get('version') !== VERSION) throw this.#unknown();
    const [activityDays, errorRate, capacity, expansion] = OPTIONS.map((name) => Number(stored.get(name))) as Numbers;
    const isWhole = Number.isInteger(activityDays) && activityDays >= 1 && activityDays <= MAX_ACTIVITY_DAYS;
    if (!isWhole || !isBloomShape({ errorRate, capacity, expansion })) throw this.#unknown();
    return { activityDays, errorRate, capacity, expansion };
  }

  #unknown = () => newerVersion(`The shape of this namespace's data (key "${this.#key}")`);

  #warnWhereOther(stored: Shape, own: Shape, what: string, lacksSecret: boolean): void {
    const others = OPTIONS.filter((name) => stored[name] !== own[name]).map(
      (name) => `"${name}" is ${own[name]} here and ${stored[name]} there`,
    );
    if (lacksSecret) others.push('"itemSecret" is missing here, so what was seen with it is not found');
    if (others.length === 0 || this.#isWarned) return;
    this.#isWarned = true;
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
    return false; // an OptionError, of what is no option here
  }
}
