import { expect } from 'chai';
import { createWorker, intelligentSession, OptionError, RedisSessionStore } from '../../lib/index.js';

describe('options', () => {
  const wrong: [string, () => unknown, RegExp][] = [
    ['an unknown option', () => intelligentSession({ sekret: 'x' } as never), /no option "sekret"/],
    ['a time-out that is no number', () => intelligentSession({ timeout: '1' as never }), /"timeout".*whole number/],
    ['a namespace with a glob', () => intelligentSession({ namespace: '*' }), /"namespace"/],
    ['a combo without pages', () => intelligentSession({ combos: [{ name: 'a', pages: [] }] }), /"combos\.0\.pages"/],
    [
      'a track of another kind',
      () => intelligentSession({ track: 'routes' as never }),
      /"track".*"route" or a function/,
    ],
    ['a parameter without a name', () => intelligentSession({ pages: { query: [''] } }), /"pages\.query\.0"/],
    ['an unknown option of pages', () => intelligentSession({ pages: { stric: true } as never }), /"pages\.stric"/],
    ['bots by a list', () => intelligentSession({ bots: ['curl'] as never }), /"bots" should be false or a function/],
    ['a ttl below 1', () => new RedisSessionStore({ ttl: 0 }), /"ttl"/],
    ['a URL of something else', () => new RedisSessionStore({ redis: 'http://x' }), /redis:\/\//],
    ['a glob that is too long', () => createWorker({ sessionGlob: 'a'.repeat(300) }), /"sessionGlob"/],
    ['a command that is built in', () => createWorker({ commands: { pageview: () => 1 } }), /built in/],
    ['a command with a bad name', () => createWorker({ commands: { 'A B': () => 1 } }), /command's name/],
  ];
  for (const [title, act, message] of wrong)
    it(`refuses ${title} at once, with a TypeError that names it`, () => {
      expect(act)
        .to.throw(TypeError, message)
        .with.property('code')
        .that.matches(/^ERR_INTELLIGENT_SESSION_/);
    });

  it('asks for a secret in production', () => {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    try {
      expect(() => intelligentSession())
        .to.throw(OptionError, /SESSION_SECRET/)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_SECRET');
    } finally {
      if (before === undefined) delete process.env.NODE_ENV;
      else process.env.NODE_ENV = before;
    }
  });
});
