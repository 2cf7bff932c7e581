import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { importModule } from './import-module.js';
import type { NamedCombo } from '../intelligence/command/descriptor.js';
import { namedCombo, type WorkerOptions } from './options.js';

// What the command line reads from files. An error says which file, where, and what was expected, but repeats no content.

/** What a file of combos holds, as errors show it. */
const FORM = '[{ "name": "…", "pages": ["…"] }]';
/** One whole token of JSON, with the white space before it. */
const TOKEN =
  /[ \t\r\n]*(?:[{}[\]:,]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;

export async function readCombos(file: string): Promise<NamedCombo[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new OptionError(`--combos: the file ${file} can't be read (${error.code})`);
  });
  return parseCombos(text.replace(/^\uFEFF/, ''), file); // Some editors begin a file with a byte order mark.
}

export function parseCombos(text: string, file: string): NamedCombo[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new OptionError(`--combos: the file ${file} is no JSON, ${placeOfFault(text, error)}: expected ${FORM}`);
  }
  if (!Array.isArray(parsed)) throw new OptionError(`--combos: the file ${file} holds no array: expected ${FORM}`);
  const wrongAt = parsed.findIndex((entry) => !v.is(namedCombo, entry));
  if (wrongAt === -1) return parsed as NamedCombo[];
  throw new OptionError(
    `--combos: the file ${file}, entry ${wrongAt + 1}: expected a name, pages, and nothing else: ${FORM}`,
  );
}

/** Where a text stops being JSON. Of some faults Node tells no position: then it is where the last whole token ends. */
function placeOfFault(text: string, error: unknown): string {
  const position = /at position (\d+)/.exec((error as Error).message)?.[1];
  const before = text.slice(0, position === undefined ? endOfTokens(text) : Number(position)).split('\n');
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

/** Where the last whole token ends, with the white space behind it. */
function endOfTokens(text: string): number {
  let end = 0;
  for (TOKEN.lastIndex = 0; TOKEN.test(text);) end = TOKEN.lastIndex;
  return end + (/^[ \t\r\n]*/.exec(text.slice(end))?.[0].length ?? 0);
}

export async function readCommands(file: string): Promise<NonNullable<WorkerOptions['commands']>> {
  const path = resolve(file);
  const module = await importModule(pathToFileURL(path).href).catch((error: unknown) => {
    const { name, code, message } = Object(error) as NodeJS.ErrnoException;
    // A syntax error's text quotes the file, and only Node's own report of it has the line.
    const why = error instanceof SyntaxError ? `${name}: node --check says where` : `${code ?? name}: ${message}`;
    throw new OptionError(`--commands: the file ${file} can't be loaded (${why})`);
  });
  if (typeof module.default === 'object' && module.default !== null)
    return module.default as NonNullable<WorkerOptions['commands']>;
  throw new OptionError(`--commands: the file ${file} should have a default export that is an object of functions`);
}
