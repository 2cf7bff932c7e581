import { expect } from 'chai';
import express from 'express';
import session from 'express-session';
import { type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { figures, Traffic } from './traffic.js';

/** How soon after a master's death every visitor gets reports again. */
export const BACK_MS = 15_000;
/** How long any page takes meanwhile. */
const SLOWEST_MS = 3_000;

export interface TrafficUnderFailover {
  /** The session ids of its visitors. */
  readonly ids: readonly string[];
  /** Waits until every visitor has got a report; `what` tells the figures' reader what happened before. */
  reports(what?: string): Promise<void>;
}

/**
 * Traffic on two sites while `kill` ends masters: one site has its sessions in the same Redis, the other in its own memory, so
 * that what fails there is the intelligence. Every request has to be answered, soon enough, and with nothing worse than the
 * store's 503 for a session that can't be read.
 */
export async function surviveFailover(
  options: IntelligentSessionOptions,
  kill: (traffic: TrafficUnderFailover) => Promise<void>,
): Promise<void> {
  const own = intelligentSession({ ...options, secret: 'test' });
  const apart = intelligentSession({ ...options, secret: 'test', store: new session.MemoryStore() });
  const traffics = [await Traffic.start(express(), apart), await Traffic.start(express(), own)] as const;
  const reports = async (what?: string) => {
    const back = await Promise.all(traffics.map((traffic) => traffic.reports(BACK_MS)));
    if (what) figures(`${what}: reports after ${back.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
  };
  try {
    await reports();
    await kill({ ids: traffics.flatMap(({ ids }) => ids), reports });
  } finally {
    await Traffic.stop(traffics, [own, apart]);
  }
  const [elsewhere, here] = traffics;
  for (const { slowestMs } of traffics) expect(slowestMs).to.be.below(SLOWEST_MS);
  expect([...elsewhere.statuses.keys()], 'sessions elsewhere').to.deep.equal([200]);
  for (const status of here.statuses.keys()) expect(status).to.be.oneOf([200, 503]);
}
