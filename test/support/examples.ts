/** Runs the code blocks of the documentation, each in a process of its own, in a folder as `npm init -y` makes it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Block } from './pages.js';
import { root } from './pages.js';
import { Visitor } from './site.js';
import { until } from './until.js';

/** The servers that take the places of those that the examples name. */
export interface Places {
  /** for 127.0.0.1:6379 */
  readonly redis: { url: string };
  /** for 127.0.0.1:7000, a Cluster's node */
  readonly cluster: { port: number };
  /** for 127.0.0.1:26379 */
  readonly sentinel: { port: number };
}

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
const preloaded = ['tsx/dist/esm/index.mjs'].map((file) => `file://${root}node_modules/${file}`);
const nodeArgs = [...preloaded, `file://${root}test/support/report-port.mjs`].flatMap((file) => ['--import', file]);
const DEADLINE_MS = 30_000;

/** The source file of a file in dist/. */
const sourceOf = (file: string): string => file.replace(/^(\.\/)?dist\//, '$1').replace(/\.js$/, '.ts');

/** A folder where `intelligent-session` is this checkout, and the other packages are those that it is developed with. */
export function makeFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'documentation-'));
  const modules = join(path, 'node_modules');
  mkdirSync(join(modules, manifest.name), { recursive: true });
  for (const name of readdirSync(`${root}node_modules`))
    if (!name.startsWith('.') && name !== manifest.name)
      symlinkSync(`${root}node_modules/${name}`, join(modules, name));
  for (const name of ['lib', 'middleware', 'fallback'])
    symlinkSync(`${root}${name}`, join(modules, manifest.name, name));
  type Entry = string | { default?: string; require?: Entry };
  const fileOf = (entry: Entry): string =>
    typeof entry === 'string' ? entry : fileOf(entry.require ?? (entry.default as string));
  const exports = Object.entries(manifest.exports as Record<string, Entry>)
    .filter(([name]) => name !== './package.json')
    .map(([name, entry]) => [name, sourceOf(fileOf(entry))]);
  const write = (file: string, value: object) => writeFileSync(join(path, file), JSON.stringify(value));
  write(`node_modules/${manifest.name}/package.json`, {
    name: manifest.name,
    type: 'module',
    exports: Object.fromEntries(exports),
  });
  write('package.json', { name: 'example', type: 'commonjs' }); // as npm 11 writes it
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The file that a block is run from, in a folder for each page. */
export function writeBlock(folder: string, block: Block, code = block.code): string {
  const page = join(folder, block.page.replace(/\W/g, '-'));
  mkdirSync(page, { recursive: true });
  const file = join(page, block.info || `line-${block.line}.${block.language === 'ts' ? 'mts' : 'mjs'}`);
  writeFileSync(file, code);
  return file;
}

/**
 * The code with the addresses of our servers. Each example has a database of its own, so that none hears what another sends,
 * and intelligentSession() waits longer for answers, since the machine may be busy.
 */
function putInPlace(code: string, { redis, cluster, sentinel }: Places, database: number): string {
  return code
    .replaceAll('redis://127.0.0.1:6379', `${redis.url}/${database}`)
    .replaceAll('port: 7000', `port: ${cluster.port}`)
    .replaceAll('port: 26379', `port: ${sentinel.port}`)
    .replaceAll('listen(3000)', 'listen(0)')
    .replace('intelligentSession({', 'intelligentSession({ timeout: 10_000,');
}

/** A process that runs an example. */
class Example {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  port: number | undefined;
  out = '';
  err = '';

  constructor(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
    this.child = spawn(process.execPath, [...nodeArgs, ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child.stdout?.on('data', (data) => (this.out += data));
    this.child.stderr?.on('data', (data) => (this.err += data));
    this.child.on('message', ({ port }: { port?: number }) => (this.port ??= port));
    this.ended = once(this.child, 'close');
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Waits until the example has ended, or `ask` says yes. */
  async reached(what: string, ask: () => boolean): Promise<void> {
    await until(`${what}\n${this.out}\n${this.err}`, () => this.isOver || ask(), DEADLINE_MS);
  }

  async end(): Promise<void> {
    if (!this.isOver) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), DEADLINE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  fail(what: string): never {
    throw new Error(`${what}\nstdout: ${this.out}\nstderr: ${this.err}`);
  }
}

/** A line of a server's output block: `GET /path  [status] body`, or in the body's place where a redirect leads. */
const REQUEST = /^(GET|POST) (\S+) *(?:(\d{3})\b ?)?(.*)$/;

/** Makes a line's request, and gives the line as the answer would have it. */
async function visit(line: string, visitor: Visitor): Promise<string> {
  const [, method = '', path = '', status = ''] = REQUEST.exec(line) as string[];
  const response = await visitor.fetch(path, { method });
  const redirect = response.headers.get('location');
  const body = (redirect ?? (await response.text())).trimEnd();
  const got = status || response.status !== 200 ? `${response.status} ${body}` : body;
  // the request as the line has it, spaces and all, so that only the answer can differ
  const start = (/^(GET|POST) \S+ */.exec(line) as string[])[0] as string;
  return (start + got).trimEnd();
}

/**
 * Runs a block of JavaScript or TypeScript until it listens, has printed its output, or ends; makes the requests in the output
 * block of a server; ends it by SIGTERM. Throws where the output is another, or where the example ends by an error.
 */
export async function runCode(folder: string, block: Block, places: Places, database: number): Promise<void> {
  const file = writeBlock(folder, block, putInPlace(block.code, places, database));
  const listens = block.code.includes('.listen(');
  const output = block.output?.trimEnd();
  const example = new Example([file], join(file, '..'), { REDIS_URL: `${places.redis.url}/${database}` });
  try {
    await example.reached('the example listens, or has printed its output', () =>
      listens ? example.port !== undefined : output !== undefined && example.out.trimEnd() === output,
    );
    if (listens) {
      if (example.port === undefined) example.fail('It does not listen');
      const lines = output?.split('\n') ?? [];
      if (lines.length === 0) example.fail('It is a server, and no block of text says what a browser gets');
      const visitor = new Visitor(`http://127.0.0.1:${example.port}`);
      for (const line of lines) {
        const got = await visit(line, visitor);
        if (got !== line.trimEnd()) example.fail(`expected: ${line}\ngot:      ${got}`);
      }
    } else if (!block.code.includes('SIGTERM')) await example.reached('the example ends', () => false);
    const isOver = example.isOver;
    await example.end();
    if (!listens && output !== undefined && example.out.trimEnd() !== output) example.fail(`expected: ${output}`);
    // a server without a handler for SIGTERM ends by it
    const byItself = isOver || block.code.includes('SIGTERM');
    if (byItself ? example.child.exitCode !== 0 : example.child.signalCode !== 'SIGTERM')
      example.fail(`It ended with ${example.child.exitCode ?? example.child.signalCode}`);
    if (/DeprecationWarning|UnhandledPromiseRejection|ReferenceError|SyntaxError/.test(example.err))
      example.fail('It warns');
  } finally {
    await example.end();
  }
}

/**
 * Tries a line of a shell block. Programs of this package are run from their source; npm is not run, its arguments are checked.
 */
export async function runLine(folder: string, block: Block, line: string, places: Places, database: number) {
  const cwd = join(writeBlock(folder, { ...block, info: '' }), '..');
  const [program, name = '', ...args] = putInPlace(line, places, database)
    .split(' ')
    .map((word) => word.replace(/^'(.*)'$/, '$1'));
  if (program === 'npm' && name === 'install') {
    const { dependencies, devDependencies, peerDependencies } = manifest;
    const known = { [manifest.name]: '', ...dependencies, ...devDependencies, ...peerDependencies };
    for (const one of args)
      if (!one.startsWith('-') && !(one in known)) throw new Error(`${one} is not a package that is tested here`);
  } else if (program === 'node') {
    if (!readdirSync(cwd).includes(name)) throw new Error(`No block before it is named ${name}`);
  } else if (program === 'npx' && name in manifest.bin) {
    const file = `${root}${sourceOf(manifest.bin[name])}`;
    const example = new Example([file, ...args], cwd, { REDIS_URL: `${places.redis.url}/${database}` });
    try {
      await example.reached('it says that it listens', () => example.out.includes('listening at'));
      if (example.isOver) example.fail('It ended at start');
      await example.end();
      if (example.child.exitCode !== 0) example.fail(`It ended with ${example.child.exitCode}`);
    } finally {
      await example.end();
    }
  } else throw new Error(`Not known how to try: ${line}`);
}
