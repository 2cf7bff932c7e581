import { checkTexts } from '../../../options/check-arguments.js';
import { parseStrings } from '../../command/payload.js';
import { isBoolean, isListOf, isText } from '../../command/answers.js';
import type { CommandCaller, ListCommand } from '../../command/descriptor.js';
import { joinArray, listCost, namesOf } from '../../command/lists.js';
import { notKeyed } from '../../command/stored-item.js';

/** What notifications() is asked about. */
export type Notification = string | { readonly id: string };
/** What it answers on each: a copy of the object, or a new one, with `seen`. */
export type Seen<T> = T extends string ? { id: string; seen: boolean | undefined } : T & { seen: boolean | undefined };
/** An element of the worker's answer. */
interface Answered {
  readonly id: string;
  readonly seen: boolean;
}

const idOf = (item: Notification): string => (typeof item === 'string' ? item : item?.id);
const isAnswered = (value: unknown): value is Answered => {
  const { id, seen } = (value ?? {}) as Partial<Answered>;
  return isText(id) && isBoolean(seen);
};

/** Answers which notifications of a list were seen (white paper, "Group Notifications"). */
export const notifications = {
  name: 'notifications',
  effect: 'reads',
  makes: [],
  keys: ['notified'],
  uses: { notified: ['filter'] },
  lua: ['notifications.lua'],
  items: 'list',
  unkeyed: (list, nameOf) =>
    (list as Answered[]).flatMap(({ id, seen }) => {
      const name = nameOf(id);
      return name === undefined ? [] : [{ id: name, seen }];
    }),
  list: parseStrings,
  fieldsOf: namesOf,
  join: joinArray,
  cost: listCost,
  isAnswer: isListOf(isAnswered),
  methods: {
    /**
     * Each notification, in the list's order, with `seen`: has this visitor read it? Takes ids, or objects with an `id`, which are copied. A
     * Bloom filter answers: a false true at its error rate. Degraded: `seen` is undefined. 10,000 at most.
     */
    async notifications<T extends Notification>(this: CommandCaller, items: readonly T[]): Promise<Seen<T>[]> {
      const what = 'a list of ids, or of objects with an id, each a text that is not empty';
      const ids = checkTexts('notifications', Array.isArray(items) ? items.map(idOf) : items, what).map(notKeyed);
      const answer = (await this.ask('notifications', ids)) as Answered[] | undefined;
      const seen = new Map(answer?.map((one) => [one.id, one.seen]));
      return items.map((item, i) => {
        const object: object = typeof item === 'string' ? { id: item } : item;
        return { ...object, seen: seen.get(ids[i] as string) } as Seen<T>;
      });
    },
  },
  documented: { payload: 'JSON array of ids', answer: '`[{id, seen}]`' },
} as const satisfies ListCommand;
