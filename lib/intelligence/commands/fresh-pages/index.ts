import { checkTexts } from '../../../options/check-arguments.js';
import { parseStrings } from '../../command/payload.js';
import { isListOf, isText } from '../../command/answers.js';
import type { Asking, ListCommand } from '../../command/descriptor.js';
import { joinArray, listCost, namesOf } from '../../command/lists.js';

/** The pages of a list that were not yet visited (white paper, "Content Surfacing"); on the wire the paper's name. */
export const freshPages = {
  name: 'featuredpages',
  effect: 'reads',
  makes: [],
  keys: ['visited'],
  uses: { visited: 'filter' },
  lua: ['fresh-pages.lua'],
  items: 'list',
  unkeyed: (pages, nameOf) => pages.flatMap((page) => nameOf(page as string) ?? []),
  list: parseStrings,
  fieldsOf: namesOf,
  join: joinArray,
  cost: listCost,
  isAnswer: isListOf(isText),
  methods: {
    /** The pages of a list that this visitor has not seen, as they were given, in its order. Degraded: all. */
    async freshPages(this: Asking, pages: readonly string[]): Promise<string[]> {
      const names = checkTexts('freshPages', pages).map(this.context.pageName);
      const answer = (await this.ask('featuredpages', [...new Set(names)])) as string[] | undefined;
      if (!answer) return [...pages];
      const fresh = new Set(answer);
      return pages.filter((_, i) => fresh.has(names[i] as string));
    },
  },
  documented: { payload: 'JSON array of pages', answer: 'those not visited, in their order' },
} as const satisfies ListCommand;
