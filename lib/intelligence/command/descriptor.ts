import type { BloomFilter } from '../../bloom/bloom-filter.js';
import type { StoredItems } from './stored-item.js';

/** A combination of pages with a name (white paper: "Visited a cluster of pages?"). */
export interface NamedCombo {
  readonly name: string;
  readonly pages: readonly string[];
}

/** Pages that together suggest something (white paper: TV and wall mount suggest the cable). */
export interface Combo extends NamedCombo {
  readonly suggest?: unknown;
}

/** What the commands use in a process that carries them out: the same for every message. */
export interface CommandContext {
  readonly bloom: BloomFilter;
  /** of how many days the minutes with a page view are kept (option `activityDays`) */
  readonly activityDays: number;
  /** pages by the name of their combo */
  readonly combos: ReadonlyMap<string, readonly string[]>;
  readonly items: StoredItems;
  /** How long a message may be on its way, ms. */
  readonly messageAgeMs: number;
}

/** What a command makes the arguments of its Lua of: one message. */
export interface CommandCall {
  /** whose data the message is about: a session's id, or another text that names a visitor or a user (subject.ts) */
  readonly sid: string;
  /** Is it a visitor who is not logged in, whose data a login may carry to a user later? */
  readonly isAnonymous: boolean;
  /** unique to the request: `<sender>~<number>`, or anything else */
  readonly id: string;
  readonly payload: string;
}

/** What the methods that a command adds to `req.intelligence` find there as `this`. */
export interface CommandCaller {
  /** Sends a command and waits for its answer: null where the command gave nothing, undefined where none came. */
  ask(command: string, payload?: unknown): Promise<unknown>;
  readonly context: {
    /** One name for all spellings of a page. */
    readonly pageName: (page: string) => string;
    /** the application's option `combos`, with each page by its one name */
    readonly combos: readonly Combo[];
  };
}

/**
 * All that there is to know of a built-in command. The metrics' labels, the ACL's rights, which messages are sent again, which keys
 * expire, and the methods of `req.intelligence` are derived from it.
 */
interface Descriptor {
  /** on the wire: 1 to 64 of a-z 0-9 - */
  readonly name: string;
  /**
   * A command that only reads is not sent to Redis again after a call without a reply, and is dropped where nobody waits for
   * its answer.
   */
  readonly effect: 'reads' | 'writes';
  /**
   * It stores what the person does on purpose, and not what the site observes: for a user who is logged in, that needs no
   * consent.
   */
  readonly isOwnAct?: true;
  /** The keys that it creates, by the last part of their names. They expire with the session, and are removed with it. */
  readonly makes: readonly string[];
  /** Further keys that it creates, with an expiry of their own. They are removed with what is kept of the session. */
  readonly temporary?: readonly string[];
  /** The keys that its Lua is given, other commands' among them. */
  readonly keys: readonly string[];
  /**
   * Does its Lua sometimes need all keys of a subject, as a page view does to renew their expiries? Each key costs Redis and
   * this process something, so all are given only where they may be needed (script-messages.ts), and after the outcome
   * 'all-keys' (prelude.lua). Then `message.all` is set.
   */
  readonly mayTakeAll?: true;
  /**
   * The Redis commands that its Lua calls on each key, `filter` for a Bloom filter's: an ACL's rights follow from it. A Redis
   * command that takes two keys stands under both of their names, with a space between.
   */
  readonly uses: Readonly<Record<string, readonly string[]>>;
  /** The same, for the keys that are only there in a Cluster. */
  readonly usesInCluster?: Readonly<Record<string, readonly string[]>>;
  /** The files of its Lua, in its folder, in their order in the script. */
  readonly lua: readonly string[];
  /**
   * Is its payload a page or a notification id, or a list of them? With `itemSecret`, keyed items are sent in their place
   * (stored-item.ts).
   */
  readonly items: 'payload' | 'list' | 'none';
  /** Replaces the keyed items in an answer by those that were asked about, as nameOf() gives them; leaves out all others. */
  unkeyed?(data: readonly unknown[], nameOf: (key: string) => string | undefined): unknown[];
  /**
   * How long it keeps Redis busy, or this process where that takes long, as a multiple of a page view with the default options
   * (some 20 µs of Redis).
   */
  cost(payload: string, context: CommandContext): number;
  /** Has an answer the command's shape? Whoever may publish to Redis can send answers of another. */
  isAnswer(data: unknown): boolean;
  /** The methods that it adds to `req.intelligence`. They check their arguments, and say what a degraded answer is. */
  readonly methods: Readonly<Record<string, (this: CommandCaller, ...args: never[]) => unknown>>;
  /** The command's row in WIRE.md. */
  readonly documented: { readonly payload: string; readonly answer: string };
}

/** A command whose Lua works on its message as a whole. */
export interface ScriptCommand extends Descriptor {
  /** The fields of the message that its Lua gets. Throws a coded error for a payload that has not the command's form. */
  readonly fields: (call: CommandCall, context: CommandContext) => object;
}

/** A command on a list. Its Lua takes the list in pieces, since a long one would keep Redis from everybody else. */
export interface ListCommand extends Descriptor {
  /** The list that a payload has. Throws a coded error for a payload that has none. */
  readonly list: (payload: string, context: CommandContext) => readonly string[];
  /** What a piece's message has for the Lua besides `items` and `whole`. */
  readonly fieldsOf?: (piece: readonly string[]) => object;
  /** The whole answer, from the answers to the pieces. */
  readonly join: (parts: readonly string[]) => string;
}

/**
 * A command whose Lua is a script by itself, which reads the bytes of one key. This process makes the answer from these bytes.
 */
export interface ReadCommand extends Descriptor {
  /** Checks the payload, and gives the function that makes the answer of the script's reply. Throws a coded error. */
  readonly read: (payload: string, context: CommandContext) => (reply: readonly (Buffer | null)[]) => string;
}

/** A command that takes over what is kept of another subject. Its Lua is two scripts, one for each subject (carry-subject.ts). */
export interface CarryCommand extends Descriptor {
  /**
   * Gives the other subject. `sid` is the message's own, `named` the decoded payload. Throws a coded error where it may not be
   * carried.
   */
  readonly from: (sid: string, named: string) => string;
}

export type CommandDescriptor = ScriptCommand | ListCommand | ReadCommand | CarryCommand;
