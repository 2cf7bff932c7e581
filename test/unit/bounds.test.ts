import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { ScriptMessages } from '../../lib/intelligence/script-messages.js';
import type { Message } from '../../lib/serving/executor.js';
import { LocalTask } from '../../lib/serving/local-task.js';
import { onConnectionFault } from '../../lib/redis/connection-faults.js';
import { CircuitBreakers } from '../../lib/serving/circuit-breaker.js';
import { HeldRequests } from '../../lib/serving/held-requests.js';
import { DeduplicatedLog } from '../../lib/errors/deduplicated-log.js';
import { hide } from '../../lib/session/hidden-fields.js';
import { SessionRotation } from '../../lib/session/session-rotation.js';
import { keepUnanswered, type SessionState, SessionStates, type Snapshot } from '../../lib/session/snapshot.js';
import { TouchThrottle } from '../../lib/session/touch-throttle.js';

describe('what a process remembers', () => {
  it('of messages that wait for a connection is 10,000: the next is refused', () => {
    const settled: string[] = [];
    const held = new HeldRequests(600_000);
    const hold = (payload: string) =>
      held.add({ go: () => {}, fail: (reason) => void settled.push(`${payload} ${reason}`) });
    for (let i = 0; i < 10_000; i++) hold('kept');
    expect(settled).to.deep.equal([]);
    hold('over');
    expect(settled).to.deep.equal(['over shed']);
    held.close();
    expect(settled).to.have.lengthOf(10_001);
  });

  it('of circuits is 1,000 routes, whatever session ids there are', () => {
    const circuits = new CircuitBreakers({ opened: () => {}, closed: () => {} });
    for (let route = 0; route < 5_000; route++)
      for (let i = 0; i < 5; i++)
        circuits.timedOut({ route: `r${route}`, sid: `s${route}-${i}`, ownCommand: undefined });
    expect(circuits.open).to.be.within(2, 1_001);
  });

  it('of faults to tell is 100 texts a second: the others are told as one', () => {
    const said = new Map<string, number>();
    const lines = new DeduplicatedLog((text, times) => said.set(text, (said.get(text) ?? 0) + times));
    for (let i = 0; i < 5_000; i++) lines.add(`fault ${i}`);
    lines.flush();
    expect(said.size).to.equal(101);
    expect(said.get('other faults')).to.equal(4_900);
  });

  it('of sessions that were touched is 50,000: the one that is forgotten is only touched again', () => {
    const throttle = new TouchThrottle();
    for (let i = 0; i <= 50_000; i++) throttle.touched(`s${i}`, 1, 600_000);
    expect([throttle.isDue('s0', 1), throttle.isDue('s1', 1), throttle.isDue('s50000', 1)]).to.deep.equal([
      true,
      false,
      false,
    ]);
  });

  it('of new ids that came back is 50,000: of one that is forgotten the grace of the old id is asked for again', () => {
    const states = new SessionStates();
    const rotation = new SessionRotation({ states, moved: {} } as never, {} as never, {} as never, {
      disableTTL: false,
    });
    rotation.use({ everyMs: 60_000, graceMs: 1 });
    const asks = (sid: string) => {
      const session = {} as SessionData;
      hide(session, { __previous: 'old' });
      states.of(session).snapshot = { sid, wasRead: true } as Snapshot;
      return rotation.endingOldId(session, sid) !== undefined;
    };
    for (let i = 0; i <= 50_000; i++) expect(asks(`s${i}`)).to.equal(true);
    expect([asks('s50000'), asks('s0'), asks('s0')]).to.deep.equal([false, true, false]);
  });

  it('of subjects all of whose keys were given is 10,000: then they are given again', () => {
    const bloom = new PlainBloomFilter(new Redis({ lazyConnect: true }));
    const items = storedItems(undefined);
    const messages = new ScriptMessages({ bloom, items, activityDays: 7, combos: new Map(), messageAgeMs: 60_000 }, '');
    const keysOf = (sid: string): number => {
      const keys: string[] = [];
      const message = { command: 'pageview', sid, payload: '/page', ttlSeconds: 3600, isAnonymous: false };
      const task = new LocalTask(message as Message, 'sender~1', { finished: () => {} });
      messages.of(task, keys);
      return keys.length;
    };
    for (let i = 0; i < 10_000; i++) expect(keysOf(`s${i}`)).to.equal(9);
    expect([keysOf('s0'), keysOf('s9999')]).to.deep.equal([5, 5]);
    expect([keysOf('s10000'), keysOf('s10000'), keysOf('s0')]).to.deep.equal([9, 5, 9]);
  });

  it('of reasons why a connection does not come about is 16, until it is there', () => {
    const client = new Redis({ lazyConnect: true });
    const told: string[] = [];
    onConnectionFault(client, ({ message }) => told.push(message));
    for (let i = 0; i < 1_000; i++) client.emit('error', new Error(`reason ${i}`));
    expect(told).to.have.lengthOf(16);
    client.emit('ready');
    client.emit('error', new Error('another'));
    expect(told).to.have.lengthOf(17);
  });

  it('of saves of a session that got no answer is 20, the first among them', () => {
    const state: SessionState = {};
    const saved = (storedText: string) => ({
      ...{ sid: 's', loadedText: '', storedText, storedValue: storedText },
      ...{ wasRead: true, user: undefined, takenAt: 0, saveIds: [] },
    });
    for (let i = 0; i < 1_000; i++) keepUnanswered(state, saved(String(i)));
    const held = state.unanswered?.map((one) => one.storedText);
    expect(held).to.have.lengthOf(20);
    expect([held?.[0], held?.at(-1)]).to.deep.equal(['0', '999']);
  });
});
