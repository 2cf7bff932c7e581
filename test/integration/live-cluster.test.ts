import { Cluster } from 'ioredis';
import { intelligentSession } from '../../lib/index.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { LiveVisitor, liveApp } from '../support/live-site.js';
import { Site } from '../support/site.js';

describe('live notifications on a Cluster', function () {
  this.timeout(60_000);
  let cluster: PrivateCluster;
  const opened: (() => unknown)[] = [];

  before(async () => {
    cluster = await startCluster(3);
  });
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });
  after(() => cluster?.stop());

  function connect(): Cluster {
    const client = new Cluster([...cluster.nodes]);
    opened.push(() => client.disconnect());
    return client;
  }

  async function site(groups: readonly string[]): Promise<Site> {
    const sessions = intelligentSession({
      redis: connect(),
      secret: 'a secret of the tests',
      worker: 'embedded',
      user: (session) => (session as { user?: string } & typeof session).user,
      notifications: { groups: () => groups },
    });
    opened.push(() => sessions.close({ timeout: 0 }));
    const opening = await Site.open(liveApp(sessions, { heartbeatSeconds: 1 }));
    opened.push(() => opening.close());
    return opening;
  }

  it('say what is published, read and ended at any node, in each process', async () => {
    const groups = ['everyone', 'customers', 'staff'];
    const [one, other] = [await site(groups), await site(groups)];
    const publisher = createNotifications({ redis: connect() });
    opened.push(() => publisher.close());
    const visitor = await LiveVisitor.at(one, '/login/ann');
    const streams = [await visitor.open(), await visitor.elsewhere(other).open()];
    const say = (count: number) => Promise.all(streams.map((stream) => stream.says(count)));
    await say(0);
    const ids: string[] = [];
    for (const group of groups) {
      ids.push(await publisher.publish({ group }, { title: 'News' }));
      await say(ids.length);
    }
    await publisher.publish({ user: 'ann' }, { title: 'Your parcel' });
    await say(4);
    for (const [i, id] of ids.entries()) {
      await visitor.json(`/read/${id}`);
      await say(3 - i);
    }
    await visitor.elsewhere(other).json('/logout');
    await Promise.all(streams.map((stream) => stream.ended()));
  });

  it('end within a heartbeat where the session has expired', async () => {
    const shop = await site(['nobody']);
    const [gone, stays] = [await LiveVisitor.at(shop), await LiveVisitor.at(shop)];
    const { sid } = await gone.json('/');
    const [ending, staying] = [await gone.open(), await stays.open()];
    await Promise.all([ending.says(0), staying.says(0)]);
    await connect().del(`sess:${sid}`);
    await ending.ended();
    await staying.says(0);
    if (staying.hasEnded) throw new Error('the other one has ended, too');
  });
});
