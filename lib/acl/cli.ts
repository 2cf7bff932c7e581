import { Command, Option } from 'commander';
import * as v from 'valibot';
import { checkOptions, namespace, transport } from '../options/check-options.js';
import { OptionError } from '../errors/errors.js';
import { checkCommand } from '../transport/protocol.js';
import { keyPrefixOf, namespaceOf, type RedisOption } from '../redis/connect.js';
import { SESSION_PREFIX } from '../redis/keys.js';
import { targetOfUrls } from '../redis/target-of-urls.js';
import { shardGlob } from '../transport/pubsub/shard.js';
import { type AclRole, type AclScope, rightsOf, type ServerFeatures, type StoreFeature } from './rights.js';
import { PASSWORD, ruleOf } from './rule.js';
import { askServer, versionOf } from './server.js';

const ROLES = ['serving', 'worker', 'publisher'] as const satisfies readonly AclRole[];
const FEATURES = ['users', 'near-cache', 'expired-events', 'scan'] as const satisfies readonly StoreFeature[];

/** A text that is one word of a rule and ends no selector. */
const word = v.pipe(
  v.string(),
  v.regex(/^[^\s()"'\u0000-\u001f]{1,64}$/, '1 to 64 characters without spaces, quotes and brackets'),
);
const glob = v.pipe(v.string(), v.regex(/^[^:\s()"']{1,256}$/, 'a glob of 1 to 256 characters, no ":"'));
const list = <T extends v.GenericSchema>(item: T) => v.optional(v.array(item), []);

const schema = v.strictObject({
  role: v.array(v.picklist(ROLES)),
  user: v.optional(word),
  namespace: v.optional(namespace, ''),
  prefix: v.optional(word, SESSION_PREFIX),
  db: v.optional(v.pipe(v.string(), v.regex(/^\d{1,4}$/, 'a number'), v.transform(Number))),
  transport: v.optional(transport, 'pubsub'),
  replies: v.optional(v.picklist(['inbox', 'list']), 'inbox'),
  cluster: v.optional(v.boolean(), false),
  bloom: v.optional(v.picklist(['auto', 'module', 'fallback']), 'auto'),
  commands: list(v.string()),
  sessionGlob: v.optional(glob),
  shard: v.optional(v.string()),
  store: list(v.picklist(FEATURES)),
  serverVersion: v.optional(v.string()),
  format: v.optional(v.picklist(['setuser', 'aclfile']), 'setuser'),
});

type Flags = v.InferOutput<typeof schema>;

/** `intelligent-session acl`: prints the ACL rule of a role, for this server. */
export function aclCommand(): Command {
  return new Command('acl')
    .description('Prints the ACL rule with which a role can do its work, and nothing else.')
    .addOption(
      new Option('--role <role...>', 'whose; several are one user’s (an embedded worker)')
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option('--user <name>', 'the ACL user’s name (default: intelligent-session- and the roles)')
    .addOption(
      new Option('--redis <url>', 'the server that is asked what it has')
        .env('REDIS_URL')
        .default('redis://127.0.0.1:6379'),
    )
    .option('--cluster', 'the Redis at that URL is a node of a Cluster')
    .option('--sentinel <name>', 'that URL is a Sentinel’s; the name of the master that it watches')
    .option('--server-version <version>', 'no server is asked: it has this version, and filters as --bloom says')
    .option('--db <n>', 'the database (default: the URL’s)')
    .option('--namespace <text>', 'as the processes have it', '')
    .option('--prefix <text>', 'of the store’s keys', SESSION_PREFIX)
    .addOption(new Option('--transport <how>', 'how requests travel').choices(['pubsub', 'stream']).default('pubsub'))
    .addOption(new Option('--replies <how>', 'how answers come').choices(['inbox', 'list']).default('inbox'))
    .addOption(new Option('--bloom <which>', 'the worker’s').choices(['auto', 'module', 'fallback']).default('auto'))
    .option('--commands <name...>', 'the application’s own commands')
    .option('--session-glob <glob>', 'the worker’s (pubsub)')
    .option('--shard <i/n>', 'the worker’s (pubsub)')
    .addOption(new Option('--store <feature...>', 'what else the store does').choices(FEATURES))
    .addOption(
      new Option('--format <which>', 'for redis-cli, or for an aclfile')
        .choices(['setuser', 'aclfile'])
        .default('setuser'),
    )
    .action(print);
}

async function print({ redis, sentinel, ...given }: Record<string, unknown>): Promise<void> {
  const flags = checkOptions(schema, given, 'acl');
  const target = targetOfUrls(redis as string, {
    cluster: flags.cluster,
    ...(sentinel !== undefined && { sentinel: sentinel as string }),
  });
  const scope = scopeOf(flags, target, await serverOf(flags, target));
  const rule = ruleOf(
    flags.role.flatMap((role) => rightsOf(role, scope)),
    scope.server,
  );
  const user = flags.user ?? `intelligent-session-${flags.role.join('-')}`;
  const start = flags.format === 'aclfile' ? ['user', user] : ['ACL', 'SETUSER', user, 'reset'];
  process.stdout.write(`${[...start, 'on', PASSWORD, ...rule].join(' ')}\n`);
  process.stderr.write(
    `# ${PASSWORD.slice(1)}: 64 digits, of printf %s 'the password' | sha256sum.` +
      `${flags.cluster ? ' On every node: a Cluster does not pass it on.' : ''}\n`,
  );
}

/** Asks the server for its features, or takes them from the flags. */
async function serverOf({ serverVersion, bloom }: Flags, target: RedisOption): Promise<ServerFeatures> {
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
  const { role: _, user: __, serverVersion: ___, format: ____, sessionGlob, shard, ...scope } = flags;
  for (const command of scope.commands) checkCommand(command);
  if (sessionGlob !== undefined && shard !== undefined)
    throw new OptionError('acl: "--session-glob" and "--shard" both say which sessions: give one of them');
  if ((sessionGlob ?? shard) !== undefined && (!flags.role.includes('worker') || flags.transport === 'stream'))
    throw new OptionError('acl: "--session-glob" and "--shard" are for a worker on pub/sub');
  if (scope.store.length > 0 && !flags.role.includes('serving'))
    throw new OptionError('acl: "--store" is for the role serving: nobody else has the store');
  for (const feature of ['near-cache', 'expired-events'] as const)
    if (scope.cluster && scope.store.includes(feature)) throw new OptionError(`acl: "${feature}" is not for a Cluster`);
  const keyPrefix = keyPrefixOf(target);
  return {
    ...scope,
    server,
    keyPrefix,
    namespace: namespaceOf(target, scope.namespace),
    sessionGlob: sessionGlob ?? (shard === undefined ? '*' : shardGlob(shard)),
    db: scope.db ?? databaseIn(target),
    store: new Set(scope.store),
  };
}

/** A URL's path is the database. */
const databaseIn = (target: RedisOption): number =>
  typeof target === 'string' && URL.canParse(target) ? Number(new URL(target).pathname.slice(1)) || 0 : 0;
