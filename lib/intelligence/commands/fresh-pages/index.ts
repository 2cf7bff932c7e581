import { checkTexts } from '../../../options/check-arguments.js';
import { parseStrings } from '../../command/payload.js';
import { isListOf, isText } from '../../command/answers.js';
import type { CommandCaller, ListCommand } from '../../command/descriptor.js';
import { joinArray, listCost, namesOf } from '../../command/lists.js';

/** Answers which pages of a list were not visited yet. On the wire the command has the white paper's name ("Content Surfacing"). */
export const freshPages = {
  name: 'featuredpages',
  effect: 'reads',
  makes: [],
  keys: ['visited'],
  uses: { visited: ['filter'] },
  lua: ['fresh-pages.lua'],
  items: 'list',
  // with the option `itemSecret` the answer names keyed pages; nameOf() gives the page that was asked about
  unkeyed: (pages, nameOf) => pages.flatMap((page) => nameOf(page as string) ?? []),
  list: parseStrings,
  fieldsOf: namesOf,
  join: joinArray,
  cost: listCost,
  isAnswer: isListOf(isText),
  methods: {
    /**
     * The pages of a list that this visitor has not visited, as they were given and in the list's order. A Bloom filter answers: a fresh
     * page is missing at its error rate. Degraded: all of them. 10,000 pages at most, looked up in pieces of up to 256.
     */
    async freshPages(this: CommandCaller, pages: readonly string[]): Promise<string[]> {
      const names = checkTexts('freshPages', pages).map(this.context.pageName);
      const answer = (await this.ask('featuredpages', [...new Set(names)])) as string[] | undefined;
      if (!answer) return [...pages];
      const fresh = new Set(answer);
      return pages.filter((_, i) => fresh.has(names[i] as string));
    },
  },
  documented: { payload: 'JSON array of pages', answer: 'those not visited, in their order' },
} as const satisfies ListCommand;
