import { checkText, checkTexts } from '../../../options/check-arguments.js';
import { IntelligentSessionError } from '../../../errors/errors.js';
import { isBit, NO_COMBO } from '../../command/answers.js';
import { parseStrings } from '../../command/payload.js';
import type { CommandCaller, ListCommand } from '../../command/descriptor.js';
import { listCost } from '../../command/lists.js';

/**
 * Answers whether all pages of a combo were visited (white paper, "Visited a cluster of pages?"). The payload is a JSON array of pages,
 * or the name of a combo that the worker knows.
 */
export const combo = {
  name: 'combo',
  effect: 'reads',
  makes: [],
  keys: ['visited'],
  uses: { visited: ['filter'] },
  lua: ['combo.lua'],
  items: 'list',
  /** `combos` are the worker's: pages by the combo's name. */
  list(payload, { combos }) {
    const pages = payload.startsWith('[') ? parseStrings(payload) : combos.get(payload);
    if (!pages) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMBO);
    return pages;
  },
  // parts are joined only where all their pages were visited: the first page that was not makes the whole answer 0 at once
  join: () => '1',
  cost: listCost,
  isAnswer: isBit,
  methods: {
    /**
     * Were all these pages visited? Takes a list of pages, or the name of a combo (of the option `combos`, or of the worker's). A Bloom
     * filter answers: false positives at its error rate. Undefined where there is no answer.
     */
    async combo(this: CommandCaller, pages: readonly string[] | string): Promise<boolean | undefined> {
      // the application's option `combos`; a worker has combos of its own
      const { combos, pageName } = this.context;
      const pageList = Array.isArray(pages) ? pages : combos.find(({ name }) => name === pages)?.pages;
      const what = "a combo's name, or a list of pages that is not empty";
      // A name that is not found here may be known to the worker, so any text will do. An empty list is no text, and throws.
      if (!pageList || pageList.length === 0) checkText('combo', pageList ?? pages, what);
      const answer = await this.ask('combo', pageList ? checkTexts('combo', pageList, what).map(pageName) : pages);
      return answer === 1 ? true : answer === 0 ? false : undefined;
    },

    /** What the combos suggest whose pages were all visited (option `combos`), in their order. One message asks for all. [] where there is no answer. */
    async suggestions(this: CommandCaller): Promise<unknown[]> {
      const { combos } = this.context;
      if (combos.length === 0) return [];
      // the pages of the option have their one names already
      const pages = [...new Set(combos.flatMap((one) => one.pages))];
      const answer = (await this.ask('featuredpages', pages)) as string[] | null | undefined;
      if (!answer) return [];
      const notVisited = new Set(answer);
      return combos.filter((one) => !one.pages.some((page) => notVisited.has(page))).map((one) => one.suggest);
    },
  },
  documented: { payload: "JSON array of pages, or a combo's name", answer: '`1` or `0`' },
} as const satisfies ListCommand;
