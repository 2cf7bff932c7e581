// Which module may import which: checked by `npm run lint`.

/**
 * The floors of the house, the lowest first. A module imports from its own folder and from lower floors: never from a higher
 * one, and never from another folder of its own floor. `*` stands for any one folder.
 */
const floors = [
  ['lib/errors'],
  ['lib/options', 'lib/hash', 'lib/metrics'],
  ['lib/redis'],
  ['lib/bloom'],
  ['fallback'],
  ['lib/bloom-choice'],
  ['lib/intelligence/command'],
  ['lib/intelligence/commands/*'],
  ['lib/intelligence'],
  ['lib/transport'],
  ['lib/transport/pubsub', 'lib/transport/stream', 'lib/transport/replies'],
  ['lib/worker', 'lib/serving', 'lib/session', 'lib/notifications'],
  ['lib/acl', 'middleware'],
  ['lib/bin'],
  ['lib'],
];

/** A pattern of the modules that lie directly in a folder. */
const modulesOf = (folder) => `^${folder.replace('*', '[^/]+')}/[^/]+$`;
const source = '^(lib|fallback|middleware)/';
/** What package.json exports, and its bins. */
const entries = '^lib/(index|(bloom-choice|notifications|session|worker)/index|bin/intelligent-session(-worker)?)[.]ts$';

const noWayUp = floors.flatMap((folders, floor) =>
  folders.map((folder) => ({
    name: `from ${folder} only down`,
    comment: 'A module imports from its own folder and from lower floors: .dependency-cruiser.mjs lists them.',
    severity: 'error',
    from: { path: folder.includes('*') ? `^${folder.replace('*', '([^/]+)')}/[^/]+$` : modulesOf(folder) },
    to: {
      path: floors.slice(floor).flat().map(modulesOf),
      pathNot: folder.includes('*') ? `^${folder.replace('*', '$1')}/[^/]+$` : modulesOf(folder),
    },
  })),
);

export default {
  forbidden: [
    ...noWayUp,
    {
      name: 'every folder has a floor',
      comment: 'A new folder gets a line among the floors of .dependency-cruiser.mjs.',
      severity: 'error',
      from: { path: source, pathNot: floors.flat().map(modulesOf) },
      to: {},
    },
    {
      name: 'no circle of modules',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no circle of folders',
      severity: 'error',
      scope: 'folder',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no orphan',
      comment: 'No entry of the package leads to this module: it is dead, or it has lost its user.',
      severity: 'error',
      from: { path: entries },
      to: { path: source, pathNot: entries, reachable: false },
    },
    {
      name: 'a command knows no Redis',
      comment: 'A command says what its script takes and gives. The executor sends it.',
      severity: 'error',
      from: { path: '^lib/intelligence/commands/[^/]+/' },
      to: { path: '^(lib/(redis|bloom|bloom-choice|metrics)|fallback)/|(^|/)node_modules/ioredis/' },
    },
    {
      name: 'only the middleware knows Express',
      severity: 'error',
      from: { path: source, pathNot: '^middleware/' },
      to: { path: '(^|/)node_modules/(@types/)?express/' },
    },
    {
      name: 'the package knows nothing of its demo and its tests',
      severity: 'error',
      from: { path: source },
      to: { path: '^(demo|test|bench|soak)/' },
    },
    {
      name: 'every import is found',
      severity: 'error',
      from: { path: source },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: 'swc', // it reads types' imports, too
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
