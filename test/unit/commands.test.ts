import { expect } from 'chai';
import type { CommandContext } from '../../lib/intelligence/command/descriptor.js';
import { builtIn } from '../../lib/intelligence/commands.js';

const commandOf = (name: string) => {
  const command = builtIn.get(name);
  if (!command) throw new Error(`no command ${name}`);
  return command;
};

describe('a built-in command', () => {
  const context = { activityDays: 7 } as CommandContext;

  it('costs no more for a long page or id, of which Redis gets a hash; one of 256 kB fills a session’s share of a call', () => {
    for (const name of ['pageview', 'mark-notification-seen']) {
      const { cost } = commandOf(name);
      expect(cost('/', context), name).to.equal(1);
      expect(cost(`/${'a'.repeat(1023)}`, context), name).to.equal(1);
      expect(cost('a'.repeat(262_144), context), name).to.be.within(16, 64);
    }
  });

  const report = {
    totalPages: 2,
    uniquePages: 1,
    previouslyVisited: true,
    activityThisMinute: true,
    activity: [0, 1, 0, 0, 0],
    newToSite: false,
    inactive: false,
  };
  const explained = {
    pageViews: 2,
    uniquePages: 1,
    notificationsRead: 0,
    days: [[20_000, 1]],
    ownKeys: [{ name: 'wishlist', type: 'set', size: 1, value: ['lamp'] }],
    keptForSeconds: 3600,
  };

  it('has answers of the form that WIRE.md says', () => {
    expect(commandOf('pageview').isAnswer(report)).to.equal(true);
    expect(commandOf('explain').isAnswer(explained)).to.equal(true);
  });

  for (const wrong of [
    ...[[], [0, 1, 0, 0], [0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 2], 'none'].map((activity) => ({ activity })),
    ...[-1, 0.5, 1e300, '2', null].flatMap((count) => [{ totalPages: count }, { uniquePages: count }]),
  ])
    it(`has no report as an answer with ${JSON.stringify(wrong)}`, () => {
      expect(commandOf('pageview').isAnswer({ ...report, ...wrong })).to.equal(false);
    });

  for (const wrong of [
    ...[-1, 0.5, '2'].flatMap((count) => [{ pageViews: count }, { keptForSeconds: count }, { days: [[count, 1]] }]),
    { ownKeys: [{ ...explained.ownKeys[0], size: -1 }] },
  ])
    it(`has no explanation as an answer with ${JSON.stringify(wrong)}`, () => {
      expect(commandOf('explain').isAnswer({ ...explained, ...wrong })).to.equal(false);
    });
});
