import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { allEnded, descendants } from '../support/processes.js';
import { until } from '../support/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { name, bin } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

describe('the command line', () => {
  /** runs a bin of package.json from its source */
  const run = (which: string, ...args: string[]) => {
    const file = `${root}${bin[which].replace(/^dist\//, '').replace(/js$/, 'ts')}`;
    return spawnSync(process.execPath, ['--import', 'tsx', file, ...args], { encoding: 'utf8', cwd: root });
  };

  it('has the package’s name, so that npx asks no registry for a package of another name', () => {
    expect(Object.keys(bin)).to.deep.equal([name, `${name}-worker`]);
    const { status, stdout } = run(name, 'worker', '--help');
    expect(status).to.equal(0);
    expect(stdout).to.contain('Usage: intelligent-session worker').and.to.contain('--session-glob');
  });

  it('keeps the old name of the worker as the same command', () => {
    const { status, stdout } = run(`${name}-worker`, '--help');
    expect(status).to.equal(0);
    expect(stdout).to.equal(run(name, 'worker', '--help').stdout);
  });

  it('lists its commands', () => {
    const { status, stdout } = run(name, '--help');
    expect(status).to.equal(0);
    expect(stdout).to.match(/^ {2}worker .*runs a worker$/m);
    expect(run(name, 'help', 'worker').stdout).to.contain('--session-glob');
    expect(run(name)).to.include({ status: 1, stdout: '' });
  });

  it('answers a command that it does not have with one coded line that names those that it has', () => {
    const { status, stdout, stderr } = run(name, 'wroker\u001b[31m', '--redis', 'redis://127.0.0.1:1');
    expect({ status, stdout }).to.deep.equal({ status: 1, stdout: '' });
    expect(stderr.trim().split('\n')).to.have.lengthOf(1);
    expect(stderr).to.contain('ERR_INTELLIGENT_SESSION_OPTION').and.to.contain('worker').and.to.not.contain('\u001b');
  });

  for (const [how, signal] of [
    ['npx', 'SIGKILL'],
    ['npm run', 'SIGKILL'],
    ['npm run', 'SIGTERM'],
  ] as const)
    it(`ends when the ${how} that started it gets ${signal}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'started-by-npm-'));
      const redis = await startPrivateRedis();
      // what npm installs is a link to the built bin; here the bin is its source
      mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
      const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
      const source = `exec "${process.execPath}" --import "${tsx}" "${root}lib/bin/${name}.ts" "$@"`;
      writeFileSync(join(folder, `node_modules/.bin/${name}`), `#!/bin/sh\n${source}\n`, { mode: 0o755 });
      const script = `${name} worker --redis ${redis.url}`;
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts: { worker: script } }));
      const [file = '', ...args] =
        how === 'npx' ? ['npx', '--no', '--', ...script.split(' ')] : ['npm', 'run', 'worker'];
      const npm = spawn(file, args, { cwd: folder });
      let said = '';
      npm.stdout.on('data', (chunk) => {
        said += chunk;
      });
      await until('the worker listens', () => said.includes('listening at'));
      const processes = descendants(npm.pid as number);
      expect(processes.map(({ args }) => args).join()).to.contain(`${name}.ts worker`);
      npm.kill(signal);
      await allEnded(processes);
      await redis.stop();
      rmSync(folder, { recursive: true });
    });

  const folder = mkdtempSync(join(tmpdir(), 'cli-'));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  after(() => rmSync(folder, { recursive: true }));

  for (const [flags, expected] of [
    [['--metrics-port', 'abc'], '--metrics-port should be a whole number from 0 to 65535'],
    [['--max-queue', '-3'], '--max-queue should be a whole number from 1 to 10000000'],
    [['--error-rate', '1'], '--error-rate should be a number over 0 and under 1'],
    [['--partitions', '4'], 'option "partitions" is without effect: it needs transport: \'stream\''],
    [['--metrics-host', '0.0.0.0'], '--metrics-host is without effect: it needs --metrics-port'],
    [['--cluster', '--sentinel', 'main'], '--cluster and --sentinel both say what is at the URL'],
    [['--redis', 'redis://a', '--url', 'redis://b'], 'options "redis", "client" and "url" are one'],
    [['--url', 'localhost'], 'option "url" should be a URL as redis://127.0.0.1:6379'],
    [['--item-secret', 'short'], '--item-secret should be a text of at least 16 characters'],
    [['--redis', '127.0.0.1'], 'option "redis" should be a URL as redis://127.0.0.1:6379'],
    [['--redis', 'redis://127.0.0.1:1/shop'], "can't be read as a URL of the form redis://"],
    [['--redis', 'redis://user:12?a=b@127.0.0.1:1'], "can't be read as a URL of the form redis://"],
    [['--combos', join(folder, 'none')], "can't be read (ENOENT)"],
    [['--combos', file('combos.json', '{')], 'is no JSON'],
    [['--commands', file('commands.mjs', 'export const report = () => 1')], 'should have a default export'],
    [['--commands', join(folder, 'none.mjs')], "can't be loaded (ERR_MODULE_NOT_FOUND"],
  ] as const)
    it(`refuses ${flags.join(' ').replace(folder, '')} with one coded line`, () => {
      const { status, stdout, stderr } = run(name, 'worker', ...flags);
      expect({ status, stdout }).to.deep.equal({ status: 1, stdout: '' });
      expect(stderr).to.contain(expected).and.to.contain('(ERR_INTELLIGENT_SESSION_OPTION, see docs/errors.md#');
      expect(stderr.trim().split('\n')).to.have.lengthOf(1);
    });

  it('is called by its old name through npx nowhere', () => {
    const files = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
    const texts = files.filter((file) => /\.(md|ts|ejs|json|js)$/.test(file) && !file.startsWith('test/'));
    expect(texts).to.include.members(['README.md', 'package.json', 'demo/start.ts']);
    const calls = texts.filter((file) =>
      /npx (-\S+ )*intelligent-session-/.test(readFileSync(`${root}${file}`, 'utf8')),
    );
    expect(calls).to.deep.equal([]);
  });
});
