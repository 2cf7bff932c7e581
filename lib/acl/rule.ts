import type { RightGroup, ServerFeatures } from './scope.js';

/** Stands for the SHA-256 of a password. Redis refuses this text, so that no ACL user gets a password that everybody knows. */
export const PASSWORD = '#SHA256-OF-THE-PASSWORD';

const unique = (words: Iterable<string>): string[] => [...new Set(words)];

/** Merges groups of the same name: the rights of several roles or namespaces, for one ACL user, have such groups. */
export function mergeGroups(groups: readonly RightGroup[]): RightGroup[] {
  const byName = new Map<string, RightGroup>();
  for (const group of groups) {
    const { name, commands, keys = [], channels = [] } = group;
    const before = byName.get(name);
    byName.set(name, {
      name,
      commands: unique([...(before?.commands ?? []), ...commands]),
      keys: unique([...(before?.keys ?? []), ...keys]),
      channels: unique([...(before?.channels ?? []), ...channels]),
    });
  }
  return [...byName.values()];
}

/** The words of one group, as `ACL SETUSER` takes them. */
const words = ({ commands, keys = [], channels = [] }: RightGroup): string[] => [
  ...(channels.length > 0 ? ['resetchannels'] : []),
  ...commands.map((command) => `+${command}`),
  ...keys,
  ...channels.map((channel) => `&${channel}`),
];

/**
 * The words of a rule that follow `ACL SETUSER <user>`, without a password. Since Redis 7 each group with keys or channels is a
 * selector, so that its commands are allowed on its own keys only, and the others are root permissions. Earlier versions get
 * one rule of all groups, with `~` for `%R~` and `%W~`.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
 */
export function ruleOf(groups: readonly RightGroup[], { version }: Pick<ServerFeatures, 'version'>): string[] {
  const start = ['-@all', 'resetkeys', 'resetchannels'];
  if (version[0] < 7) {
    const withPlainKeys = groups.map((group) => ({
      ...group,
      keys: group.keys?.map((key) => key.replace(/^%[RW]+~/, '~')) ?? [],
    }));
    const flat = words({
      name: '',
      commands: unique(withPlainKeys.flatMap(({ commands }) => commands)),
      keys: unique(withPlainKeys.flatMap(({ keys }) => keys)),
      channels: unique(withPlainKeys.flatMap(({ channels = [] }) => channels)),
    }).filter((word) => word !== 'resetchannels');
    return [...start, ...flat];
  }
  const isOfRoot = ({ keys = [], channels = [] }: RightGroup) => keys.length + channels.length === 0;
  const root = unique(groups.filter(isOfRoot).flatMap(words));
  const selectors = groups.filter((group) => !isOfRoot(group)).map((group) => `(${words(group).join(' ')})`);
  return [...start, ...root, ...selectors];
}
