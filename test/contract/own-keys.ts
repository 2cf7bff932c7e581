import { expect } from 'chai';
import type { Cluster, Redis } from 'ioredis';
import type { CommandRequest, CommandWithKeys, WorkerOptions } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { OwnKeyCarrier } from '../../lib/intelligence/own-key-carrier.js';
import { encodeId, ownKey, ownKeysOf } from '../../lib/redis/keys.js';
import type { RedisTarget } from '../../lib/redis/target.js';
import type { Executor } from '../../lib/serving/executor.js';
import { until } from '../support/until.js';

const keys = {
  wishlist: { merge: 'union' },
  tastes: { merge: 'union' },
  scores: { merge: 'union' },
  brands: { merge: 'union' },
  count: { merge: 'sum' },
  points: { merge: 'sum' },
  board: { merge: 'sum' },
  last: { merge: 'replace' },
  first: { merge: 'keep' },
  tab: { merge: 'drop' },
} as const;
type Name = keyof typeof keys;
type Write = readonly [command: string, name: Name, ...args: (string | number)[]];

/** Commands that wait until they are let go, and how many wait. */
export const held: (() => void)[] = [];

/** Carries out Redis commands on its keys, and gives the last one's reply. */
async function write({ payload, keys: at, redis }: CommandRequest<Name>): Promise<unknown> {
  let reply: unknown;
  for (const [command, name, ...args] of JSON.parse(payload) as Write[])
    reply = await redis.call(command, at[name], ...args);
  return reply;
}

export const commands: NonNullable<WorkerOptions['commands']> = {
  write: { keys, run: write } satisfies CommandWithKeys<Name>,
  'write-late': {
    keys,
    async run(request) {
      await new Promise<void>((resolve) => held.push(resolve));
      return write(request as CommandRequest<Name>);
    },
  },
  // declares nothing, so that it runs at once
  look: ({ payload, redis }) => redis.scard(payload),
  whose: { keys: { wishlist: { merge: 'union' } }, run: ({ sid }) => sid },
};

export interface OwnKeysGround {
  readonly client: Redis | Cluster;
  readonly serving: Executor;
  /** What failed where commands are carried out. */
  readonly faults: readonly Error[];
}

const HOUR = 3600;
let count = 0;

/** What is kept in the keys of an application's commands, wherever Redis is and however messages travel. */
export function itKeepsOwnKeys(namespace: string, ground: () => OwnKeysGround): void {
  const names = () => {
    const n = ++count;
    return { anonymous: `visitor-${n}`, user: userSubject(`user ${n}`, undefined) };
  };
  const ask = async (command: string, subject: string, payload: unknown, ttlSeconds = HOUR): Promise<any> => {
    const isAnonymous = !subject.endsWith('~');
    const answer = await ground().serving.ask(command, subject, payload, { ttlSeconds, timeoutMs: 5000, isAnonymous });
    if (!answer.answered) throw answer.error ?? new Error(answer.reason);
    return answer.data;
  };
  const writes = (subject: string, ...list: Write[]) => ask('write', subject, list);
  const carry = (user: string, anonymous: string) => ask('carry', user, encodeId(anonymous));
  const at = (subject: string, name: Name) => ownKey(namespace, subject, name);
  /** What carries keys in a process that is killed after so many scripts. */
  const carrierThatEndsAfter = (scripts: number): OwnKeyCarrier => {
    const { client } = ground();
    let ended = 0;
    const dying = new Proxy(client, {
      get(on, name) {
        const value = Reflect.get(on, name, on);
        if (!/^eval/.test(String(name))) return value;
        return async (...args: unknown[]) => {
          if (ended === scripts) throw new Error('killed');
          const reply = await (value as (...args: unknown[]) => Promise<unknown>).apply(on, args);
          ended++;
          return reply;
        };
      },
    });
    const target = { client: dying, sharesCalls: !client.isCluster } as RedisTarget;
    return new OwnKeyCarrier(target, { messageAgeMs: 60_000 }, namespace);
  };
  const left = async (subject: string): Promise<string[]> => {
    const all = Object.values(commandKeys(namespace, subject));
    const own = ownKeysOf(commandKeys(namespace, subject).own, Object.keys(keys));
    const every = [...new Set([...all, ...own])];
    const there = await Promise.all(every.map((key) => ground().client.exists(key)));
    return every.filter((_, i) => there[i] === 1);
  };
  const everything = async (subject: string) => {
    const { client } = ground();
    return {
      wishlist: (await client.smembers(at(subject, 'wishlist'))).sort(),
      tastes: await client.hgetall(at(subject, 'tastes')),
      scores: await client.zrange(at(subject, 'scores'), '0', '-1', 'WITHSCORES'),
      brands: await client.pfcount(at(subject, 'brands')),
      count: await client.get(at(subject, 'count')),
      points: await client.hgetall(at(subject, 'points')),
      board: await client.zrange(at(subject, 'board'), '0', '-1', 'WITHSCORES'),
      last: await client.get(at(subject, 'last')),
      first: await client.get(at(subject, 'first')),
      tab: await client.get(at(subject, 'tab')),
    };
  };
  const ofVisitor: Write[] = [
    ['SADD', 'wishlist', 'lamp', 'sofa'],
    ['HSET', 'tastes', 'colour', 'green', 'wood', 'oak'],
    ['ZADD', 'scores', 5, 'lamps', 1, 'sofas'],
    ['PFADD', 'brands', 'a', 'b'],
    ['INCRBY', 'count', 3],
    ['HSET', 'points', 'lamps', 2, 'sofas', '0.5', 'chairs', '0.25', 'note', 'none'],
    ['ZADD', 'board', 2, 'lamps'],
    ['SET', 'last', '/sofa'],
    ['SET', 'first', '/sofa'],
    ['SET', 'tab', '1'],
  ];
  const ofUser: Write[] = [
    ['SADD', 'wishlist', 'lamp', 'chair'],
    ['HSET', 'tastes', 'colour', 'red'],
    ['ZADD', 'scores', 3, 'lamps', 4, 'sofas'],
    ['PFADD', 'brands', 'b', 'c'],
    ['INCRBY', 'count', 4],
    ['HSET', 'points', 'lamps', 1, 'chairs', 2, 'note', 'mine'],
    ['ZADD', 'board', 1, 'lamps', 1, 'sofas'],
    ['SET', 'last', '/lamp'],
    ['SET', 'first', '/lamp'],
  ];
  const joined = {
    wishlist: ['chair', 'lamp', 'sofa'],
    tastes: { colour: 'red', wood: 'oak' },
    scores: ['sofas', '4', 'lamps', '5'],
    brands: 3,
    count: '7',
    points: { lamps: '3', chairs: '2.25', note: 'mine', sofas: '0.5' },
    board: ['sofas', '1', 'lamps', '3'],
    last: '/sofa',
    first: '/lamp',
    tab: null,
  };

  it('a command gets its keys, which expire with the session', async () => {
    const { anonymous } = names();
    expect(await writes(anonymous, ['SADD', 'wishlist', 'lamp'], ['SCARD', 'wishlist'])).to.equal(1);
    const { own } = commandKeys(namespace, anonymous);
    for (const key of [own, at(anonymous, 'wishlist')])
      await until(
        `${key} expires`,
        async () => Math.abs((await ground().client.pttl(key)) - (HOUR * 17_000) / 16) < 60_000,
      );
  });

  it('they are renewed by a command, by a page view and by a request that counts none', async () => {
    const { anonymous } = names();
    const key = at(anonymous, 'wishlist');
    const isKept = (ttlSeconds: number) => async () => (await ground().client.pttl(key)) > ttlSeconds * 1000;
    await writes(anonymous, ['SADD', 'wishlist', 'lamp']);
    await ask('write', anonymous, [['SCARD', 'wishlist']], 2 * HOUR);
    await until('a command renews it', isKept(2 * HOUR));
    await ask('pageview', anonymous, '/', 3 * HOUR);
    await until('a page view renews it', isKept(3 * HOUR));
    ground().serving.renew(anonymous, 4 * HOUR);
    await until('renew() renews it', isKept(4 * HOUR));
    await ask('write', anonymous, [['SCARD', 'wishlist']], HOUR);
    expect(await isKept(4 * HOUR - 60)()).to.equal(true);
  });

  it('a login carries them to a user who has none', async () => {
    const { anonymous, user } = names();
    await writes(anonymous, ...ofVisitor);
    const before = await everything(anonymous);
    expect(await carry(user, anonymous)).to.equal(1);
    expect(await everything(user)).to.deep.equal({ ...before, tab: null });
    expect(await left(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
    for (const key of await left(user))
      if (!key.endsWith(':merged')) expect(await ground().client.pttl(key), key).to.be.above(HOUR * 1000);
  });

  it('each is merged into what the user has as it declares, and once', async () => {
    const { anonymous, user } = names();
    await writes(anonymous, ...ofVisitor);
    await writes(user, ...ofUser);
    const [first, second] = await Promise.all([carry(user, anonymous), carry(user, anonymous)]);
    expect([first, second]).to.include(1);
    expect(await everything(user)).to.deep.equal(joined);
    expect(await carry(user, anonymous)).to.equal(0);
    expect(await everything(user)).to.deep.equal(joined);
    expect(await left(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
    for (const key of await left(user))
      if (!key.endsWith(':merged')) expect(await ground().client.pttl(key), key).to.be.above(HOUR * 1000);
  });

  it('a carrying that ended half-way is finished by the next one, also of what was written since', async () => {
    const { anonymous, user } = names();
    const { client } = ground();
    await writes(anonymous, ['INCRBY', 'count', 1], ['SADD', 'wishlist', 'lamp']);
    await writes(user, ['INCRBY', 'count', 2]);
    const steps = client.isCluster ? [0, 1, 2, 3] : [0, 1];
    for (const step of steps) {
      const crashed = await carrierThatEndsAfter(step)
        .carry(anonymous, user, HOUR)
        .then(
          () => false,
          () => true,
        );
      expect(crashed).to.equal(client.isCluster || step === 0);
      await client.incrby(at(anonymous, 'count'), 4); // of a command that was running
      await client.hset(commandKeys(namespace, anonymous).own, 'count', 'sum');
    }
    await carry(user, anonymous);
    const { wishlist, count: total } = await everything(user);
    expect({ wishlist, total }).to.deep.equal({ wishlist: ['lamp'], total: String(3 + 4 * steps.length) });
    expect(await left(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
  });

  it('a command behind the login finds them', async () => {
    const { anonymous, user } = names();
    await writes(anonymous, ['SADD', 'wishlist', 'lamp']);
    // where more waits, a call takes more
    const others = Array.from({ length: 60 }, (_, i) => `${anonymous}-other-${i}`);
    const asked = [carry(user, anonymous), ask('look', user, at(user, 'wishlist'))];
    const [, cards] = await Promise.all([...asked, ...others.map((other) => ask('pageview', other, '/'))]);
    expect(cards).to.equal(1);
  });

  it('what comes late for the visitor is the user’s, also of a command that was running', async () => {
    const { anonymous, user } = names();
    await writes(anonymous, ['INCRBY', 'count', 1]);
    const running = ask('write-late', anonymous, [['INCRBY', 'count', 2]]);
    await until('it runs', () => held.length === 1);
    await carry(user, anonymous);
    expect(await ask('whose', anonymous, '')).to.equal(user);
    await writes(anonymous, ['INCRBY', 'count', 4]);
    held.pop()?.();
    await running;
    await until('all is the user’s', async () => (await ground().client.get(at(user, 'count'))) === '7');
    await until('nothing is the visitor’s', async () => (await left(anonymous)).length === 1);
    expect(await left(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
  });

  it('what comes late lives as long as what else is kept of the user', async () => {
    const { anonymous, user } = names();
    const days = 90 * 86_400;
    await ask('pageview', user, '/', days);
    await ask('pageview', anonymous, '/');
    const running = ask('write-late', anonymous, [['INCRBY', 'points', 2]]);
    await until('it runs', () => held.length === 1);
    await ask('carry', user, encodeId(anonymous), days);
    await writes(anonymous, ['INCRBY', 'count', 4]);
    held.pop()?.();
    await running;
    const { own } = commandKeys(namespace, user);
    for (const key of [at(user, 'count'), at(user, 'points'), own])
      await until(`${key} lives as long`, async () => (await ground().client.pttl(key)) > (days - HOUR) * 1000);
  });

  it('nothing of one user gets to another, by whatever message', async () => {
    const { anonymous, user } = names();
    const other = names().user;
    await writes(user, ['SADD', 'wishlist', 'lamp']);
    const refused = await carry(other, user).then(
      () => 'carried',
      () => 'refused',
    );
    expect(refused).to.equal('refused');
    await writes(anonymous, ['SADD', 'wishlist', 'sofa']);
    await carry(user, anonymous);
    await carry(other, anonymous);
    expect((await everything(user)).wishlist).to.deep.equal(['lamp', 'sofa']);
    expect((await everything(other)).wishlist).to.deep.equal([]);
  });

  it('forget() leaves nothing, also of a command that was running, and later ones do not run', async () => {
    for (const subject of Object.values(names())) {
      await writes(subject, ...ofVisitor);
      const running = ask('write-late', subject, ofVisitor);
      await until('it runs', () => held.length === 1);
      expect(await ground().serving.forget(subject)).to.equal(true);
      held.pop()?.();
      await running;
      const { gone } = commandKeys(namespace, subject);
      await until('all but the tombstone is gone', async () => (await left(subject)).length === 1);
      if (!subject.endsWith('~')) {
        expect(await ask('whose', subject, '')).to.equal(null);
        expect(await writes(subject, ['SADD', 'wishlist', 'late'])).to.equal(null);
      }
      expect(await left(subject)).to.deep.equal([gone]);
    }
  });

  it('what was erased does not come back; what a visitor brings who logs in afterwards is kept, but in a Cluster', async () => {
    const { anonymous, user } = names();
    await writes(anonymous, ['SADD', 'wishlist', 'lamp']);
    await writes(user, ['SADD', 'wishlist', 'sofa']);
    await ground().serving.forget(user);
    await carry(user, anonymous);
    const isCluster = 'nodes' in ground().client;
    const { gone, own } = commandKeys(namespace, user);
    expect(await left(user)).to.have.members(isCluster ? [gone] : [gone, own, `${own}:wishlist`]);
    expect(await ground().client.smembers(`${own}:wishlist`)).to.deep.equal(isCluster ? [] : ['lamp']);
    expect(await left(anonymous)).to.deep.equal([commandKeys(namespace, anonymous).gone]);
  });

  it('explain shows them', async () => {
    const { anonymous } = names();
    expect(await ask('explain', anonymous, '')).to.deep.include({ ownKeys: [], keptForSeconds: 0 });
    await writes(anonymous, ...ofVisitor, ['SADD', 'wishlist', ...Array.from({ length: 300 }, (_, i) => `item ${i}`)]);
    const { ownKeys, keptForSeconds } = await ask('explain', anonymous, '');
    expect(keptForSeconds).to.be.above(HOUR);
    const byName = new Map<string, any>(ownKeys.map((one: { name: string }) => [one.name, one]));
    expect([...byName.keys()]).to.deep.equal(Object.keys(keys).sort());
    expect(byName.get('brands')).to.deep.equal({ name: 'brands', type: 'hyperloglog', size: 2 });
    expect(byName.get('last')).to.deep.equal({ name: 'last', type: 'string', size: 5, value: '/sofa' });
    expect(byName.get('scores')).to.deep.equal({
      ...{ name: 'scores', type: 'zset', size: 2 },
      value: [
        ['lamps', '5'],
        ['sofas', '1'],
      ],
    });
    expect(byName.get('tastes')?.value).to.have.deep.members([
      ['colour', 'green'],
      ['wood', 'oak'],
    ]);
    expect(byName.get('wishlist')).to.include({ type: 'set', size: 302 });
    expect(byName.get('wishlist')?.value).to.have.lengthOf(100);
  });

  it('what can’t be merged stays as the user has it, and is told', async () => {
    const { anonymous, user } = names();
    const before = ground().faults.length;
    await writes(anonymous, ['RPUSH', 'wishlist', 'lamp'], ['SADD', 'count', 'no number'], ['INCRBY', 'last', 1]);
    await writes(user, ['SADD', 'wishlist', 'sofa'], ['INCRBY', 'count', 1]);
    expect(await carry(user, anonymous)).to.equal(1);
    const { wishlist, count: total, last } = await everything(user);
    expect({ wishlist, total, last }).to.deep.equal({ wishlist: ['sofa'], total: '1', last: '1' });
    const told = ground().faults.slice(before).map(String);
    expect(told).to.have.lengthOf(1);
    expect(told[0]).to.contain('wishlist (union, list and set)').and.contain('count (sum, set and string)');
  });
}
