import { builtIn } from '../intelligence/commands.js';
import { itemKeyKey, leaseKey, streamKey } from '../redis/keys.js';
import { inboxKey, patternOf, replyKey } from '../transport/protocol.js';
import type { AclScope, RightGroup } from './scope.js';

/** Has the server this version, or a later one? */
export const since = ({ server: { version } }: AclScope, major: number, minor: number): boolean =>
  version[0] > major || (version[0] === major && version[1] >= minor);

/** The items, to be spread into a list, if the condition holds; otherwise none. */
export const onlyIf = <T>(condition: boolean, ...items: readonly T[]): readonly T[] => (condition ? items : []);

/** Escapes a text for a glob, so that it matches itself only. */
export const literal = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');
/** Patterns of keys in the form of an ACL rule, with read and write rights. */
export const readWrite = (keys: Iterable<string>): string[] => Array.from(keys, (key) => `~${key}`);
/** Both need rights on all keys of a call. What the script calls is then checked command by command. */
export const SCRIPT = ['eval', 'evalsha'];

const commandNames = ({ commands }: AclScope): string[] => [...builtIn.keys(), ...commands];
/** Globs for all commands' channels of the sessions that `glob` matches. */
export const channelsOf = (scope: AclScope, glob: string): string[] =>
  commandNames(scope).map((command) => patternOf(scope.namespace, command, glob, scope.db));
/** Globs for the lists of `replies: 'list'`, one for each request. */
export const replyLists = (scope: AclScope): string[] =>
  commandNames(scope).map((command) => replyKey(scope.namespace, { command, sid: '*', rid: '*' }));
export const inboxes = ({ namespace }: AclScope): string => inboxKey(namespace, '*');
export const streams = ({ namespace }: AclScope): string => streamKey(namespace, '*');
export const leases = ({ namespace }: AclScope): string => leaseKey(namespace, '*');

/** The commands that every connection sends by itself: the handshake, the ready check, and PINGs. */
export const connection = (scope: AclScope): RightGroup => ({
  name: 'connection',
  commands: [
    'ping',
    'info',
    ...onlyIf(scope.db !== 0, 'select'),
    // ioredis sends it. An ACL of 7.0 can't name this command of 7.2; 6.2 would log each refusal as a violation
    ...onlyIf(since(scope, 7, 2) || !since(scope, 7, 0), 'client|setinfo'),
  ],
});

/** The commands that a Cluster's client sends by itself. */
export const nodes = (scope: AclScope): readonly RightGroup[] =>
  onlyIf(scope.cluster, {
    name: 'cluster',
    // ioredis also asks replicas for the slots
    commands: ['cluster|slots', 'cluster|info', 'asking', 'readonly', 'client|setname'],
  });

/** The rights to read or store the item key, by which pages and users are keyed. */
export const itemKey = ({ namespace }: AclScope): RightGroup => ({
  name: 'item-key',
  commands: ['hget', 'hset', 'hgetall', 'eval'],
  keys: readWrite([itemKeyKey(namespace)]),
});

export const clock: RightGroup = { name: 'clock', commands: ['time'] };
