import type { BloomFilter } from '../../bloom/bloom-filter.js';
import type { ItemKey } from './keyed-item.js';

/** A combination of pages with a name (white paper: "Visited a cluster of pages?"). */
export interface NamedCombo {
  readonly name: string;
  readonly pages: readonly string[];
}

/** Pages that together suggest something (white paper: TV and wall mount suggest the cable). */
export interface Combo extends NamedCombo {
  readonly suggest?: unknown;
}

/** What the built-in commands' arguments are made with. */
export interface Intelligence {
  readonly bloom: BloomFilter;
  readonly activityDays: number;
  readonly combos: ReadonlyMap<string, readonly string[]>;
  readonly itemKey: ItemKey;
}

/** One request, as a command's arguments are made of it. */
export interface CommandCall {
  readonly sid: string;
  /** unique to the request: `<sender>~<number>`, or anything else */
  readonly id: string;
  readonly payload: string;
}

/** What a command's methods on `req.intelligence` work with: that object itself. */
export interface Asking {
  /** Sends a command and waits for its answer; undefined where there was none. */
  ask(command: string, payload?: unknown): Promise<unknown>;
  readonly context: {
    /** One name for all spellings of a page. */
    readonly pageName: (page: string) => string;
    /** of the application's options, their pages normalised */
    readonly combos: readonly Combo[];
  };
}

/** A built-in command: all there is to know of it. Everything else is derived from it in commands.ts. */
interface Descriptor {
  /** on the wire: 1 to 64 of a-z 0-9 - */
  readonly name: string;
  /** What only reads is not sent a second time, and nobody's where nobody waits. */
  readonly effect: 'reads' | 'writes';
  /** Which keys it brings: `<namespace>ss:{<session>}:<name>`. They expire with the session, and go with it. */
  readonly makes: readonly string[];
  /** Which keys its script takes, of its own and of others': `every` is all that is kept of a session, and `gone`. */
  readonly keys: readonly string[] | 'every';
  /** What its Lua does with its keys, by Redis command, or as a Bloom filter: an ACL's rights (lib/acl/rights.ts). */
  readonly uses: Readonly<Record<string, readonly string[] | 'filter'>>;
  /** Its Lua, files in its folder. */
  readonly lua: readonly string[];
  /** Where pages or notification ids stand in the payload: the option `itemSecret` keys them before they are sent. */
  readonly items: 'payload' | 'list' | 'none';
  /** Gives the answer to who sent keyed items in the words that they had; what was not asked about is left out. */
  unkeyed?(data: readonly unknown[], nameOf: (key: string) => string | undefined): unknown[];
  /** How long it holds Redis, as a multiple of a page view at the default options (some 20 µs). */
  cost(payload: string, of: Intelligence): number;
  /** Is it what the command answers? Whoever may publish can make a worker answer something else. */
  isAnswer(data: unknown): boolean;
  /** Its part of `req.intelligence`: checks its arguments, and says what there is when nothing was answered. */
  readonly methods: Readonly<Record<string, (this: Asking, ...args: never[]) => unknown>>;
  /** for the table in WIRE.md */
  readonly documented: { readonly payload: string; readonly answer: string };
}

/** A command whose Lua works on one message. */
export interface ScriptCommand extends Descriptor {
  /** What its Lua finds in its message. A payload that it can't read is a coded error. */
  readonly fields: (call: CommandCall, of: Intelligence) => object;
}

/** A command on a list, whose Lua works on it in pieces, since one that holds Redis for long holds up everybody. */
export interface ListCommand extends Descriptor {
  /** A payload that it can't read is a coded error. */
  readonly list: (payload: string, of: Intelligence) => readonly string[];
  /** What its Lua finds in its message besides `items`, of some of the list. */
  readonly fieldsOf?: (some: readonly string[]) => object;
  /** The answer, of what the pieces gave. */
  readonly join: (parts: readonly string[]) => string;
}

/** A command that reads one key's bytes, which this process makes sense of: its Lua is a script by itself. */
export interface ReadCommand extends Descriptor {
  /** Checks the payload, a coded error; gives what makes the answer of the script's reply. */
  readonly read: (payload: string, of: Intelligence) => (reply: readonly (Buffer | null)[]) => string;
}

export type CommandDescriptor = ScriptCommand | ListCommand | ReadCommand;
