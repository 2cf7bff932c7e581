/** README.md and docs/*.md: their code blocks, tables, headings and links. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Page {
  /** from the root of the repository */
  readonly path: string;
  readonly text: string;
}

export interface Block {
  readonly page: string;
  /** where it begins */
  readonly line: number;
  readonly language: string;
  /** what stands behind the language: a file's name, or `browser` */
  readonly info: string;
  readonly code: string;
  /** the block `text` that follows it: what the program prints, or what a browser gets */
  readonly output: string | undefined;
}

const read = (path: string): Page => ({ path, text: readFileSync(`${root}${path}`, 'utf8') });

export const pages: readonly Page[] = [
  read('README.md'),
  ...readdirSync(`${root}docs`)
    .filter((file) => file.endsWith('.md'))
    .map((file) => read(`docs/${file}`)),
];

/** The other pages whose links are checked. */
export const otherPages: readonly Page[] = [
  'WIRE.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
].map(read);

const FENCE = /^```(\w+)(?: (.+))?\n([^]*?)^```$/gm;

export function blocksOf({ path, text }: Page): Block[] {
  const fences = [...text.matchAll(FENCE)];
  return fences.flatMap((fence, i) => {
    const [whole, language = '', info = '', code = ''] = fence;
    if (language === 'text') return [];
    const end = fence.index + whole.length;
    // between a program and its output there may be a shell block that starts it
    const next = info && fences[i + 1]?.[1] === 'sh' ? fences[i + 2] : fences[i + 1];
    // an output belongs to the block only if no more than one paragraph stands between
    const follows =
      next?.[1] === 'text' && text.slice(end, next.index).replace(FENCE, '').trim().split('\n\n').length <= 1;
    const line = text.slice(0, fence.index).split('\n').length;
    return [{ page: path, line, language, info, code, output: follows ? next[3] : undefined }];
  });
}

/** GitHub's anchors of a page's headings. */
export function anchorsOf({ text }: Page): Set<string> {
  const withoutCode = text.replace(FENCE, '');
  const anchors = new Set<string>();
  for (const [, title = ''] of withoutCode.matchAll(/^#+ (.+)$/gm)) {
    const anchor = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    for (let i = 0, one = anchor; ; one = `${anchor}-${++i}`)
      if (!anchors.has(one)) {
        anchors.add(one);
        break;
      }
  }
  return anchors;
}

/** A page's links and pictures that lead to files of this repository, each with that file. */
export function linksOf({ path, text }: Page): { link: string; file: string; anchor: string | undefined }[] {
  const links = [...text.replace(FENCE, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  const folder = path.replace(/[^/]*$/, '');
  return links
    .filter((link) => !/^https?:/.test(link))
    .map((link) => {
      const [target = '', anchor] = link.split('#', 2);
      const file = target === '' ? path : new URL(`${folder}${target}`, 'file:///').pathname.slice(1);
      return { link, file, anchor };
    });
}

export const isThere = (file: string): boolean => existsSync(`${root}${file}`);

/** The rows of the table below a heading, cell by cell, without the head. */
export function tableBelow({ text }: Page, heading: string): string[][] {
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`));
  const [, ...rows] = (/^\|.*\n\|[-|]+\|\n((?:\|.*\n)+)/m.exec(section ?? '')?.[1] ?? '').split(/^\|/m);
  if (rows.length === 0) throw new Error(`There is no table below "${heading}"`);
  return rows.map((row) =>
    row
      .replace(/\|\n$/, '')
      .split('|')
      .map((cell) => cell.trim()),
  );
}
