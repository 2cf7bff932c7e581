import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { startPrivateRedis } from '../../demo/private-redis.js';

const cli = fileURLToPath(new URL('../../lib/bin/intelligent-session.ts', import.meta.url));
const SECRET = 'recognisable-5ecret';

/** Runs the bin to its end: all that it says. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', cli, 'worker', ...args], {
    env: { ...process.env, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (said += bytes));
  const [code] = (await once(child, 'close')) as [number];
  return { code, said };
}

describe('a wrong command line', () => {
  let folder: string;
  const fileOf = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'command-line-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const files: readonly [name: string, option: string, text: string, says: RegExp][] = [
    ['no-json.json', '--combos', `${SECRET}:x:0:0`, /no-json.json is no JSON, line 1, column 1/],
    ['late.json', '--combos', `[\n  {"name": ${SECRET}}\n]`, /late.json is no JSON, line 2, column 12/],
    ['cut.json', '--combos', `[\n{"name": "${SECRET}"`, /cut.json is no JSON, line 2, column/],
    ['object.json', '--combos', `{"${SECRET}": 1}`, /object.json holds no array/],
    ['entry.json', '--combos', `[{"name":"a","pages":[]},{"${SECRET}":1}]`, /entry.json, entry 2/],
    [
      'syntax.mjs',
      '--commands',
      `export default {};\nlet ${SECRET};`,
      /syntax.mjs can't be loaded \(SyntaxError: node --check says where\)/,
    ],
    ['empty.mjs', '--commands', `export const a = '${SECRET}';`, /empty.mjs should have a default export/],
  ];
  for (const [name, option, text, says] of files)
    it(`${option} ${name}: a coded error says the file and where, and nothing that stands in it`, async () => {
      const { code, said } = await run([option, fileOf(name, text)]);
      expect(said).to.match(says).and.contain('ERR_INTELLIGENT_SESSION_OPTION').and.not.contain(SECRET);
      expect(said.trimEnd()).to.not.contain('\n');
      expect(code).to.equal(1);
    });

  it('a file that is not there, one whose name has control characters', async () => {
    const { said } = await run(['--combos', join(folder, 'none\nforged\u001b[2J')]);
    expect(said).to.contain('ENOENT').and.contain('none\\u{000a}forged\\u{001b}');
  });

  it('a server without AUTH, or with another password: stderr says neither user nor password', async () => {
    const renamed = ['--rename-command', 'AUTH', '', '--rename-command', 'HELLO', ''];
    for (const args of [renamed, ['--requirepass', 'another']]) {
      const redis = await startPrivateRedis({ args });
      const { said } = await run([], { REDIS_URL: `redis://u5er-name:${SECRET}@127.0.0.1:${redis.port}` });
      await redis.stop();
      expect(said).to.contain('NOT_READY').and.not.contain(SECRET);
      expect(said).to.not.contain('u5er-name');
    }
  });

  it('a secret at a wrong place is not repeated', async () => {
    const wrong: readonly (readonly [string[], NodeJS.ProcessEnv?])[] = [
      [[`--redsi=redis://:${SECRET}@h`]],
      [[`--item-secrt=${SECRET}`]],
      [['--bloom', SECRET]],
      [['--redis', `redis://u:${SECRET}@h:99999`]],
      [['--sentinel', 'main'], { REDIS_URL: `redis://:12/${SECRET}@h` }],
      [['--metrics-port', SECRET]],
      [['--shard', SECRET]],
    ];
    for (const [args, env] of wrong) {
      const { code, said } = await run(args, env);
      expect(said, args.join(' ')).to.not.equal('').and.not.contain(SECRET);
      expect(code, args.join(' ')).to.equal(1);
    }
  });
});
