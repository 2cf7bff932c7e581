import { expect } from 'chai';
import { type SessionData, Store } from 'express-session';
import { missingSessions } from '../../middleware/missing-sessions.js';

describe('the sessions of open streams, with a store of the application’s', () => {
  /** A store that answers by the session's id. */
  class OddStore extends Store {
    override get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void {
      if (sid === 'throws') throw new Error('the store is closed');
      callback(sid === 'fails' ? new Error('away') : null, null);
    }
    override set(): void {}
    override destroy(): void {}
  }

  it('are not taken for missing where the store throws or fails, and those behind them are looked for', async () => {
    const streams = ['throws', 'fails', 'gone'].map((sid) => ({ sid, endsAtMs: 0 }));
    expect(await missingSessions(new OddStore())(streams)).to.deep.equal(['gone']);
  });
});
