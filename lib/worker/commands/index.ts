import { activity } from './activity.js';
import { combo } from './combo.js';
import type { Command } from './command.js';
import { featuredpages } from './featuredpages.js';
import type { Intelligence } from './intelligence.js';
import { markNotificationSeen } from './mark-notification-seen.js';
import { notifications } from './notifications.js';
import { pageview } from './pageview.js';

/** The built-in commands by their names on the wire. The next one: a file beside these, and a line here. */
export const builtIn: Readonly<Record<string, (of: Intelligence) => Command>> = {
  pageview,
  combo,
  featuredpages,
  notifications,
  'mark-notification-seen': markNotificationSeen,
  activity,
};
