import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { type IntelligentSessionError, newerVersion, OptionError } from '../errors/errors.js';
import { type ItemSecretOption, itemSecretsOf } from '../options/item-secrets.js';
import type { Availability } from '../redis/availability.js';
import { itemKeyKey } from '../redis/keys.js';
import type { RedisClient } from '../redis/client.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

const VERSION = '1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** How often a process stores the hash again where it is missing, as in a database that was emptied. */
const RENEW_MS = 10_000;
const script = new Script<string[]>(loadScript('lib/intelligence/item-key.lua'));

/** Where the hash is read. Without `state` Redis is never taken for away; ready() rejects when Redis is. */
interface Connection {
  readonly client: RedisClient;
  readonly state?: Availability['state'];
  ready?(): Promise<void>;
}

export interface ItemKeyHooks {
  /**
   * A load() has ended: the key is known, there is none yet, or it could not be read. Is called before whoever waits for load()
   * goes on.
   */
  loadEnded(): void;
  /** Another key was stored while this process ran. Is told once. */
  replaced(error: IntelligentSessionError): void;
}

/**
 * The key of a namespace: where pages, notification ids and users are stored, an HMAC with this key stands for each. It is
 * computed from one secret, the root: the last, which is the oldest, in the list `itemSecret` of the process that was the first
 * to use the namespace. For every other secret a hash in Redis has the key, encrypted by that secret. So another secret may
 * take the root's place: once a process that had both has started, one that has only the new secret finds what was stored.
 */
export class ItemKey {
  // All fields are #private, so that console.log of whatever has this object shows no secret and no password.
  readonly #connection: Connection;
  readonly #secrets: readonly string[];
  readonly #hashKey: string;
  readonly #hooks: ItemKeyHooks;
  #value: string | undefined;
  #loading: Promise<void> | undefined;
  #settling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasToldReplaced = false;
  /** Did the last load() fail, for whatever reason? */
  #hasFailed = false;

  constructor(
    connection: Connection,
    namespace: string,
    secrets: ItemSecretOption | undefined,
    hooks: ItemKeyHooks = { loadEnded() {}, replaced() {} },
  ) {
    this.#connection = connection;
    this.#secrets = itemSecretsOf(secrets).filter((secret) => secret !== undefined);
    this.#hashKey = itemKeyKey(namespace);
    this.#hooks = hooks;
  }

  /** Is the key known? Without a secret always: there is none to read. */
  get isKnown(): boolean {
    return this.#secrets.length === 0 || this.#value !== undefined;
  }

  /** Is the key unknown, and may it be known in a moment? */
  get isComing(): boolean {
    return !this.isKnown && !this.#hasFailed && !this.#isClosed && this.#connection.state !== 'away';
  }

  /** The key; undefined without a secret. Only to be read where isKnown. */
  get value(): string | undefined {
    return this.#value;
  }

  /** The key that load() would make where there is none; undefined without a secret. */
  get keyIfNone(): string | undefined {
    return itemKeyOf(this.#secrets.at(-1));
  }

  /**
   * Reads the key, unless it is known: by one script call, and a second one where the root is not this process' last secret and the key has yet
   * to be stored under another of its secrets. Where Redis has none, the key is made; for a process that only publishes (`makes: false`) it then
   * stays unknown. Rejects with a coded error where none of the secrets opens it, and with the error of ioredis where Redis does not answer.
   */
  load({ makes = true } = {}): Promise<void> {
    if (this.isKnown) return Promise.resolve();
    this.#loading ??= this.#load(makes)
      .then(
        () => {
          this.#hasFailed = false;
        },
        (error: unknown) => {
          this.#hasFailed = true;
          throw error;
        },
      )
      .finally(() => {
        this.#loading = undefined;
        if (!this.#isClosed) this.#hooks.loadEnded();
      });
    return this.#loading;
  }

  /**
   * Resolves when the key is known, could not be read, or the first connection is waited for no longer. Undefined where there
   * is nothing to wait for: the key is known, or could not be read, or Redis is away.
   */
  settled(): Promise<void> | undefined {
    if (!this.isComing) return undefined;
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  /** Another key was stored: the key is unknown until load() has read that one. */
  forget(): void {
    this.#value = undefined;
    this.#hasToldReplaced = false;
    clearInterval(this.#timer);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #settle(): Promise<void> {
    try {
      await this.#connection.ready?.();
      await this.load();
    } catch {
      // Whoever made this object calls load() at each connection, and tells why it failed.
    }
  }

  async #load(makes: boolean): Promise<void> {
    const ownRoot = this.#secrets.at(-1) as string;
    const stored = await (makes ? this.#share(fingerprintOf(ownRoot), computedFrom(ownRoot)) : this.#run(''));
    if (!makes && stored.size === 0) return;
    const key = this.#open(stored);
    if (key === undefined)
      throw new OptionError(
        `option "itemSecret" is another than this namespace was keyed by: put the former secret behind it in a list, or, to begin ` +
          `anew, delete the key "${this.#hashKey}"`,
      );
    const rootFingerprint = stored.get('root') as string;
    const isWhole = this.#secrets.every((secret) => {
      const fingerprint = fingerprintOf(secret);
      return fingerprint === rootFingerprint || stored.has(fingerprint);
    });
    if (!isWhole) await this.#share(rootFingerprint, key);
    this.#value = key;
    clearInterval(this.#timer);
    if (!this.#isClosed) this.#timer = setInterval(() => this.#renew(rootFingerprint, key), RENEW_MS).unref();
  }

  /** Stores the hash again where it was removed, and tells where it has another key than this process uses. */
  #renew(rootFingerprint: string, key: string): void {
    if (this.#connection.client.status !== 'ready') return;
    const renew = async () => {
      const stored = await this.#share(rootFingerprint, key);
      if (stored.get('root') === rootFingerprint || this.#hasToldReplaced) return;
      this.#hasToldReplaced = true;
      this.#hooks.replaced(
        new OptionError(
          `the key "${this.#hashKey}" was deleted and made anew by another "itemSecret" while this process ran, which keeps its ` +
            'own until it is started again: what one keeps, the other does not find',
        ),
      );
    };
    // Where Redis is away or refuses this, the commands report it; a later version of the hash is reported at the next start.
    renew().catch(() => {});
  }

  /**
   * Stores this root where there is none, and the key, encrypted by each other secret of this process, where this root is the stored one. Gives
   * what is stored then.
   */
  #share(rootFingerprint: string, key: string): Promise<ReadonlyMap<string, string>> {
    const others = this.#secrets.filter((secret) => fingerprintOf(secret) !== rootFingerprint);
    return this.#run(
      rootFingerprint,
      others.flatMap((secret) => [fingerprintOf(secret), wrapped(secret, key)]),
    );
  }

  /** The key, as the first secret that opens it gives it. */
  #open(stored: ReadonlyMap<string, string>): string | undefined {
    for (const secret of this.#secrets) {
      const fingerprint = fingerprintOf(secret);
      if (fingerprint === stored.get('root')) return computedFrom(secret);
      const key = unwrapped(secret, stored.get(fingerprint) ?? '');
      if (key !== undefined) return key;
    }
    return undefined;
  }

  /** Runs item-key.lua. Where Redis has no hash, it is made with this fingerprint of the root, unless that is ''. */
  async #run(rootIfNone: string, fields: readonly string[] = []): Promise<ReadonlyMap<string, string>> {
    const reply = await script
      .eval(this.#connection.client, [this.#hashKey, VERSION, rootIfNone, ...fields])
      .catch((error) => {
        // what is no hash is taken for a later version's
        throw String(error).includes('WRONGTYPE') ? this.#newerVersion() : error;
      });
    const stored = new Map<string, string>();
    for (let i = 0; i < reply.length; i += 2) stored.set(reply[i] as string, reply[i + 1] as string);
    if (stored.size > 0 && stored.get('version') !== VERSION) throw this.#newerVersion();
    return stored;
  }

  #newerVersion = () => newerVersion(`The item key of this namespace (key "${this.#hashKey}")`);
}

/** Has a process with an `itemSecret` used this namespace? One HGET. */
export const isKeyed = async (client: RedisClient, namespace: string): Promise<boolean> =>
  (await client.hget(itemKeyKey(namespace), 'root')) !== null;

/** Bytes from a secret for one purpose. Who has them can't compute those for another purpose. */
const derived = (secret: string, purpose: string): Buffer =>
  createHmac('sha256', secret).update(`intelligent-session ${purpose}`).digest();

/** The key of a namespace whose root is this secret; none without one. */
export const itemKeyOf = (root: string | undefined): string | undefined =>
  root === undefined ? undefined : computedFrom(root);
const computedFrom = (secret: string): string => derived(secret, 'namespace key').toString('base64url');
/** 48 bits: enough to tell one secret from another, too few to serve as one. */
const fingerprintOf = (secret: string): string =>
  derived(secret, 'namespace key fingerprint').toString('base64url').slice(0, 8);

/** The key, encrypted by a secret: AES-256-GCM, as base64url the nonce, the text, the tag. */
function wrapped(secret: string, key: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', derived(secret, 'namespace key encryption'), nonce);
  const text = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([nonce, text, cipher.getAuthTag()]).toString('base64url');
}

/** Undefined where the text is not what wrapped() made with this secret. */
function unwrapped(secret: string, text: string): string | undefined {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', derived(secret, 'namespace key encryption'), nonce);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString();
  } catch {
    return undefined;
  }
}
