import { createHmac } from 'node:crypto';
import { resolveShape } from '../bloom/bloom-options.js';
import { IntelligentSessionError, newerVersion } from '../errors/errors.js';
import { shapeKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisClient } from '../redis/client.js';
import { warn } from '../errors/warnings.js';

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
  readonly itemSecret?: string | undefined;
  /** Does it work on items that nobody has keyed before? Without the secret it can't find what was stored with it. */
  readonly keysItems: boolean;
}

interface StoredShape extends Shape {
  /** tells the secret by which items are keyed; undefined: no process had one */
  readonly itemKey: string | undefined;
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
    namespace: string,
    readonly own: ShapeOptions,
    readonly onFault: (error: IntelligentSessionError) => void,
  ) {
    this.#key = shapeKey(namespace);
  }

  /** What to use, one script. Rejects with a coded error where the stored one can't be read: it stays as it is. */
  async read(): Promise<Shape> {
    const stored = await this.#share(this.own);
    this.#warnWhereOther(stored, this.own, 'The stored values are used here');
    const { itemKey: _, ...shape } = stored;
    if (!this.#timer && !this.#isClosed) this.#timer = setInterval(() => this.#renew(shape), RENEW_MS).unref();
    return shape;
  }

  /** For as long as this process uses a shape, no other takes its place unheard. */
  #renew(used: Shape): void {
    if (this.client.status !== 'ready') return;
    this.#share(used).then(
      (stored) => {
        this.#isFaultTold = false;
        this.#warnWhereOther(
          stored,
          used,
          'They were stored while this process ran, which keeps its own until it is started again',
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

  /** The stored shape, which is this one where there was none. */
  async #share(shape: Shape): Promise<StoredShape> {
    const { itemSecret } = this.own;
    const stored = await this.#run(shape, '');
    // only what can be read is added to
    if (itemSecret === undefined || stored.itemKey !== undefined) return stored;
    return this.#run(shape, fingerprintOf(itemSecret));
  }

  async #run(shape: Shape, fingerprint: string): Promise<StoredShape> {
    const mine = OPTIONS.flatMap((name) => [name, String(shape[name])]);
    const reply = await script.run(this.client, [this.#key, fingerprint, VERSION, ...mine]).catch((error) => {
      throw String(error).includes('WRONGTYPE') ? this.#unknown() : error;
    });
    const stored = new Map<string, string>();
    for (let i = 0; i < reply.length; i += 2) stored.set(reply[i] as string, reply[i + 1] as string);
    if (stored.get('version') !== VERSION) throw this.#unknown();
    const [activityDays, errorRate, capacity, expansion] = OPTIONS.map((name) => Number(stored.get(name))) as Numbers;
    const isWhole = Number.isInteger(activityDays) && activityDays >= 1 && activityDays <= MAX_ACTIVITY_DAYS;
    if (!isWhole || !isBloomShape({ errorRate, capacity, expansion })) throw this.#unknown();
    return { activityDays, errorRate, capacity, expansion, itemKey: stored.get('itemKey') };
  }

  #unknown = () => newerVersion(`The shape of this namespace's data (key "${this.#key}")`);

  #warnWhereOther(stored: StoredShape, own: Shape, what: string): void {
    const others = OPTIONS.filter((name) => stored[name] !== own[name]).map(
      (name) => `"${name}" is ${own[name]} here and ${stored[name]} there`,
    );
    const { itemSecret, keysItems } = this.own;
    if (itemSecret !== undefined && stored.itemKey !== fingerprintOf(itemSecret))
      others.push('"itemSecret" is another here, so what was seen with the other is not found');
    if (itemSecret === undefined && keysItems && stored.itemKey !== undefined)
      others.push('"itemSecret" is missing here, so what was seen with it is not found');
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

/**
 * Are users named by this secret in a namespace (undefined: by none)? It is known where a process that carries out commands has stored
 * the namespace's shape; else the answer is undefined. One HMGET.
 */
export async function namesUsersAlike(
  client: RedisClient,
  namespace: string,
  itemSecret: string | undefined,
): Promise<boolean | undefined> {
  const [version, itemKey] = await client.hmget(shapeKey(namespace), 'version', 'itemKey');
  if (version === null || version === undefined) return undefined;
  return (itemKey ?? undefined) === (itemSecret === undefined ? undefined : fingerprintOf(itemSecret));
}

/** Tells one secret from another, and is too short to be of use as one. */
const fingerprintOf = (secret: string): string =>
  createHmac('sha256', secret).update('intelligent-session item key').digest('base64url').slice(0, 8);

function isBloomShape(shape: Omit<Shape, 'activityDays'>): boolean {
  try {
    return resolveShape(shape) !== undefined;
  } catch {
    return false; // an OptionError, of what is no option here
  }
}
