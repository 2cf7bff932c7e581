import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import sinon from 'sinon';
import { aclCommand } from '../../lib/acl/cli.js';
import { type AclScope, rightsOf } from '../../lib/acl/rights.js';

const scope: AclScope = {
  server: { version: [8, 2], bloom: 'module', bloomCard: false },
  namespace: 'shop:',
  keyPrefix: '',
  prefix: 'sess:',
  db: 0,
  transport: 'pubsub',
  replies: 'inbox',
  cluster: true,
  sessionGlob: '*',
  commands: ['add'],
  store: new Set(['users', 'scan']),
  bloom: 'auto',
};

/** What the command prints for a command line. */
async function printed(line: string): Promise<string> {
  const out = sinon.stub(process.stdout, 'write').returns(true);
  sinon.stub(process.stderr, 'write').returns(true);
  try {
    await aclCommand().exitOverride().parseAsync(line.split(' '), { from: 'user' });
    return out.args.map(([text]) => String(text)).join('');
  } finally {
    sinon.restore();
  }
}

describe('ACL rules', () => {
  it('name each command that a script of ours calls', () => {
    const scopes: AclScope[] = [
      scope,
      { ...scope, transport: 'stream', cluster: false },
      { ...scope, server: { ...scope.server, bloom: 'fallback' } },
      { ...scope, server: { ...scope.server, bloomCard: true } },
    ];
    const granted = new Set(
      scopes.flatMap((one) =>
        (['serving', 'worker', 'notifications'] as const).flatMap((role) =>
          rightsOf(role, one).flatMap(({ commands }) => commands),
        ),
      ),
    );
    const called = new Set<string>();
    for (const folder of ['lib', 'fallback'])
      for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
        name.endsWith('.lua'),
      )) {
        // an application's own dump and load of filters are no role's
        const lua = readFileSync(`${folder}/${file}`, 'utf8').replace(
          /local function bloom_(dump|load)\([^]*?\nend\n/g,
          '',
        );
        for (const [, name, sub] of lua.matchAll(/redis\.p?call\('([A-Z.]+)'(?:, '([A-Z]+)')?/g))
          called.add(
            ['XINFO', 'XGROUP', 'MEMORY'].includes(name as string)
              ? `${name}|${sub}`.toLowerCase()
              : (name as string).toLowerCase(),
          );
      }
    expect(called.size).to.be.above(30);
    expect([...called].filter((command) => !granted.has(command))).to.deep.equal([]);
  });

  it('name BF.CARD where the server has it, and BF.INFO where it has not', () => {
    for (const bloomCard of [true, false]) {
      const rights = rightsOf('worker', { ...scope, server: { ...scope.server, bloomCard } });
      const names = rights.flatMap(({ commands }) => commands);
      expect(names.includes('bf.card')).to.equal(bloomCard);
      expect(names.includes('bf.info')).to.equal(!bloomCard);
    }
  });

  it('have neither +@all nor ~* nor allchannels, for any role and server', async () => {
    for (const role of ['serving', 'worker', 'publisher', 'notifications'])
      for (const version of ['6.2', '7.0', '8.2'])
        for (const transport of ['pubsub', 'stream']) {
          const rule = await printed(
            `--role ${role} --server-version ${version} --bloom module --transport ${transport}`,
          );
          expect(rule, rule).to.not.match(/\+@|[~&]\*(\s|\)|$)|allkeys|allchannels|allcommands|nopass/);
          expect(rule.includes('('), version).to.equal(version !== '6.2');
        }
  });

  it('print a line for redis-cli, or for an aclfile, that makes no user before a password stands in it', async () => {
    const line = '--role publisher --server-version 7.0 --bloom fallback --namespace shop: --commands price';
    expect(await printed(line)).to.match(
      /^ACL SETUSER intelligent-session-publisher reset on #SHA256-OF-THE-PASSWORD -@all .*&shop:ss:price:\*:\?\*\)\n$/,
    );
    expect(await printed(`${line} --format aclfile --user mailer`)).to.match(/^user mailer on #SHA256/);
  });

  it('follow prefix, shard and database, each glob character as it stands', async () => {
    const serving = await printed('--role serving --server-version 7.0 --bloom fallback --prefix a[b]*: --db 3');
    expect(serving).to.contain('~a\\[b\\]\\*:* ').and.to.contain('&ss@3:pageview:*:?*').and.to.contain('+select');
    const worker = await printed('--role worker --server-version 7.0 --bloom fallback --shard 2/2');
    expect(worker).to.match(/&ss:pageview:\[\^[^\]]+\]\*:\?\*/);
  });

  for (const [line, why] of [
    ['--role worker --server-version 7.0', /--bloom/],
    ['--role worker --server-version 5.0 --bloom fallback', /6\.2/],
    ['--role worker --server-version 7.0 --bloom fallback --prefix a)b', /^--prefix should be /],
    ['--role worker --server-version 7.0 --bloom fallback --user a(b', /^--user should be /],
    ['--role worker --server-version 7.0 --bloom fallback --namespace a*', /^--namespace should be /],
    ['--role worker --server-version 7.0 --bloom fallback --shard 1/2 --session-glob a*', /--shard/],
    ['--role serving --server-version 7.0 --bloom fallback --cluster --store near-cache', /Cluster/],
    ['--role publisher --server-version 7.0 --bloom fallback --shard 1/2', /--shard/],
    ['--role worker --server-version 7.0 --bloom fallback --transport stream --session-glob a*', /--session-glob/],
    ['--role worker --server-version 7.0 --bloom fallback --store users', /--store/],
  ] as const)
    it(`refuse ${line}`, async () => {
      const error = await printed(line).catch((caught: Error) => caught);
      expect(error).to.be.an('error').with.property('message').that.matches(why);
    });
});
