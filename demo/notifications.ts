import type { Request } from 'express';
import type { IntelligentSessionOptions } from '../lib/index.js';
import { createNotifications, type Notifications } from '../lib/notifications/index.js';
import { userOf } from './users.js';

/** To whom the shop's staff can publish: each is one list, however many people are in it. */
export const groups = ['everybody', 'members'] as const;
export type Group = (typeof groups)[number];

/** Members are those who are logged in. */
export const groupsOf = (req: Request): readonly Group[] =>
  userOf(req.session) === undefined ? ['everybody'] : ['everybody', 'members'];

/** What everybody can read in a new shop. Each has an id, so that a second start of the shop publishes nothing again. */
export const firstNotifications = [
  { id: 'cable-week', title: 'Cable week: HDMI <2 m> now half price' },
  { id: 'opening-hours', title: 'The shop in Main Street opens at 8' },
  { id: 'spring-sale', title: 'Spring sale', body: 'Everything for the living room', link: '/' },
];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the shop publishes by itself, and what its staff does. */
export class ShopNotifications {
  readonly publisher: Notifications;

  constructor({ redis, namespace }: Pick<IntelligentSessionOptions, 'redis' | 'namespace'>) {
    this.publisher = createNotifications({ redis, namespace });
  }

  /** Publishes the first notifications. Where Redis is away, the shop opens without them, and says so. */
  async begin(): Promise<void> {
    try {
      for (const one of firstNotifications) await this.publisher.publish({ group: 'everybody' }, one);
    } catch (error) {
      process.stderr.write(`shop: its first notifications are not published: ${(error as Error).message}\n`);
    }
  }

  /** Greets a user once: the same id is the same notification. */
  welcome(user: string): void {
    this.#tell(user, {
      id: 'welcome',
      title: `Welcome, ${user}`,
      body: 'What you look at is remembered on all your browsers.',
    });
  }

  /** For a user who comes back after a pause, once an hour at most (by the id). After a day it is no news, and expires. */
  wasAway(user: string): void {
    const id = `away-${Math.floor(Date.now() / HOUR_MS)}`;
    const expires = new Date(Date.now() + DAY_MS);
    this.#tell(user, { id, title: 'You were away: see what is new to you', link: '/', expires });
  }

  #tell(user: string, notification: Parameters<Notifications['publish']>[1]): void {
    this.publisher.publish({ user }, notification).catch((error: Error) => {
      process.stderr.write(`shop: a notification for a user is not published: ${error.message}\n`);
    });
  }

  close(): Promise<void> {
    return this.publisher.close();
  }
}
