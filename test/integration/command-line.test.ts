import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

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
