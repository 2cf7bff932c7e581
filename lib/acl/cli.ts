import { Command } from 'commander';
import * as v from 'valibot';
import { checkOptions } from '../options/check-options.js';
import * as check from '../options/checks.js';
import { addFlags } from '../options/flags.js';
import { about } from '../options/option-facts.js';
import { OptionError } from '../errors/errors.js';
import { checkCommand } from '../transport/protocol.js';
import { keyPrefixOf, namespaceOf, type RedisOption } from '../redis/connect.js';
import { SESSION_PREFIX } from '../redis/keys.js';
import { redisFlags, redisOfFlags } from '../redis/target-of-urls.js';
import { shardGlob } from '../transport/pubsub/shard.js';
import { type AclRole, type AclScope, rightsOf, type ServerFeatures, type StoreFeature } from './rights.js';
import { PASSWORD, ruleOf } from './rule.js';
import { askServer, versionOf } from './server.js';

const ROLES = ['serving', 'worker', 'publisher', 'notifications'] as const satisfies readonly AclRole[];
const FEATURES = [
  'users',
  'near-cache',
  'expired-events',
  'scan',
  'notifications',
  'item-secret',
] as const satisfies readonly StoreFeature[];

/** A text without spaces and parentheses, so that it stays one word of an ACL rule and ends no selector. */
const word = v.pipe(
  v.string(),
  v.regex(/^[^\s()"'\u0000-\u001f]{1,64}$/, '1 to 64 characters without spaces, quotes and brackets'),
);

export const schema = v.strictObject({
  role: v.pipe(
    check.list(v.picklist(ROLES), 1),
    about('Whose rule it is; several roles are those of one user (an embedded worker).', { flag: '<role...>' }),
  ),
  user: v.pipe(
    v.optional(word),
    about("The ACL user's name.", { flag: '<name>', defaultText: '`intelligent-session-` and the roles' }),
  ),
  ...redisFlags,
  serverVersion: v.pipe(
    v.optional(v.string()),
    about('No server is asked: it has this version, and filters as `--bloom` says.', { flag: '<version>' }),
  ),
  db: v.pipe(v.optional(check.integer(0, 9999)), about('The database.', { flag: '<n>', defaultText: "the URL's" })),
  namespace: v.pipe(
    v.optional(check.namespace, ''),
    about('The namespace, as the processes have it.', { flag: '<text>' }),
  ),
  prefix: v.pipe(v.optional(word, SESSION_PREFIX), about("Stands before each session's key.", { flag: '<text>' })),
  transport: v.pipe(v.optional(check.transport, 'pubsub'), about('How messages travel.', { flag: '<how>' })),
  replies: v.pipe(v.optional(check.replies, 'inbox'), about('How answers come.', { flag: '<how>' })),
  bloom: v.pipe(v.optional(check.bloom, 'auto'), about("The worker's Bloom filters.", { flag: '<which>' })),
  commands: v.pipe(
    v.optional(check.list(v.string()), []),
    about("The application's own commands.", { flag: '<name...>' }),
  ),
  sessionGlob: v.pipe(v.optional(check.sessionGlob), about("The worker's glob, with pub/sub.", { flag: '<glob>' })),
  shard: v.pipe(v.optional(v.string()), about("The worker's shard, with pub/sub.", { flag: '<i/n>' })),
  store: v.pipe(
    v.optional(check.list(v.picklist(FEATURES)), []),
    about('What else the store, or the site, does.', { flag: '<feature...>' }),
  ),
  format: v.pipe(
    v.optional(v.picklist(['setuser', 'aclfile']), 'setuser'),
    about('Whether the rule is for redis-cli or for an aclfile.', { flag: '<which>' }),
  ),
});

type Flags = v.InferOutput<typeof schema>;

/** `intelligent-session acl`: prints the ACL rule with the rights of one or more roles, for this server. */
export function aclCommand(): Command {
  const command = new Command('acl').description(
    'Prints the ACL rule with which a role can do its work, and nothing else.',
  );
  return addFlags(command, schema).action(print);
}

async function print(given: Record<string, unknown>): Promise<void> {
  const flags = checkOptions(schema, given, 'acl');
  const target = redisOfFlags(flags, 'acl');
  const scope = scopeOf(flags, target, await featuresOf(flags, target));
  const rule = ruleOf(
    flags.role.flatMap((role) => rightsOf(role, scope)),
    scope.server,
  );
  const user = flags.user ?? `intelligent-session-${flags.role.join('-')}`;
  const beginning = flags.format === 'aclfile' ? ['user', user] : ['ACL', 'SETUSER', user, 'reset'];
  process.stdout.write(`${[...beginning, 'on', PASSWORD, ...rule].join(' ')}\n`);
  process.stderr.write(
    `# ${PASSWORD.slice(1)}: 64 digits, of printf %s 'the password' | sha256sum.` +
      `${flags.cluster ? ' On every node: a Cluster does not pass it on.' : ''}\n`,
  );
}

/** Asks the server for its features, or takes them from the flags where a flag gives the version. */
async function featuresOf({ serverVersion, bloom }: Flags, target: RedisOption): Promise<ServerFeatures> {
  if (serverVersion === undefined) {
    const server = await askServer(target);
    if (bloom === 'module' && server.bloom !== 'module')
      throw new OptionError('acl: this server has no module RedisBloom, so its ACLs can’t name its commands');
    return bloom === 'auto' ? server : { ...server, bloom };
  }
  if (bloom === 'auto')
    throw new OptionError('acl: with --server-version, --bloom should be module or fallback: no server is asked');
  return { version: versionOf(serverVersion), bloom, bloomCard: true };
}

function scopeOf(flags: Flags, target: RedisOption, server: ServerFeatures): AclScope {
  const { prefix, transport, replies, cluster = false, bloom, commands, sessionGlob, shard, store } = flags;
  for (const command of commands) checkCommand(command);
  if (sessionGlob !== undefined && shard !== undefined)
    throw new OptionError('acl: "--session-glob" and "--shard" both say which sessions: give one of them');
  if ((sessionGlob ?? shard) !== undefined && (!flags.role.includes('worker') || transport === 'stream'))
    throw new OptionError('acl: "--session-glob" and "--shard" are for a worker on pub/sub');
  if (store.length > 0 && !flags.role.includes('serving'))
    throw new OptionError('acl: "--store" is for the role serving: nobody else has the store');
  for (const feature of ['near-cache', 'expired-events'] as const)
    if (cluster && store.includes(feature)) throw new OptionError(`acl: "${feature}" is not for a Cluster`);
  return {
    ...{ server, prefix, transport, replies, cluster, bloom, commands },
    keyPrefix: keyPrefixOf(target),
    namespace: namespaceOf(target, flags.namespace),
    sessionGlob: sessionGlob ?? (shard === undefined ? '*' : shardGlob(shard)),
    db: flags.db ?? databaseIn(target),
    store: new Set(store),
  };
}

/** The number of the database in a URL's path, 0 where there is none. */
const databaseIn = (target: RedisOption): number =>
  typeof target === 'string' && URL.canParse(target) ? Number(new URL(target).pathname.slice(1)) || 0 : 0;
