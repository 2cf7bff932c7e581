/**
 * What notifications cost and whether they last: npm run bench:notifications (some minutes). With names of sections behind it, only these
 * are measured, and of the others the results stay as they are.
 */
import { existsSync, readFileSync } from 'node:fs';
import { report } from './support/figures.js';
import { liveNotifications } from './support/live-sections.js';
import { keptNotifications } from './support/notifications-kept.js';
import { markedNotifications } from './support/notifications-marks.js';
import { publishingNotifications } from './support/notifications-publishing.js';
import { readingNotifications } from './support/notifications-reading.js';

type Tables = Readonly<Record<string, readonly object[]>>;

/** Each gives its tables; the name of a section is the beginning of the title of each of its tables. */
const sections: Readonly<Record<string, () => Promise<Tables>>> = {
  publishing: publishingNotifications,
  reading: readingNotifications,
  marks: markedNotifications,
  kept: keptNotifications,
  live: liveNotifications,
};

const asked = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const unknown = asked.find((name) => !Object.hasOwn(sections, name));
if (unknown !== undefined)
  throw new Error(`There is no section ${unknown}: there are ${Object.keys(sections).join(', ')}`);

const file = new URL('results/notifications.json', import.meta.url);
const before: Tables = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
let tables: Tables = {};
for (const [name, measure] of Object.entries(sections)) {
  const isMeasured = asked.length === 0 || asked.includes(name);
  const own = Object.entries(before).filter(([title]) => title.startsWith(`${name}: `));
  tables = { ...tables, ...(isMeasured ? await measure() : Object.fromEntries(own)) };
}
report('notifications', tables);
process.exit();
