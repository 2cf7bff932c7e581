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

  describe('in production', () => {
    const before = process.env.NODE_ENV;
    beforeEach(() => {
      process.env.NODE_ENV = 'production';
    });
    afterEach(() => {
      if (before === undefined) delete process.env.NODE_ENV;
      else process.env.NODE_ENV = before;
    });
    const long = 'kD3vQ0zYp8nB1xTfWm6RjC9sLh2GuAe5';
    // what is wrong next comes before anything is connected
    const start = (secret?: string | string[]) => () =>
      intelligentSession({ ...(secret !== undefined && { secret }), session: { genid: 1 as never } });

    it('asks for a secret', () => {
      expect(start())
        .to.throw(OptionError, /SESSION_SECRET/)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_SECRET');
    });

    const guessable = ['§', '1234567', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'abababababab', 'keyboard cat'];
    guessable.push('Secret', 'my-secret-key', 'your_secret_here', 'changeme', 'CHANGE_ME', 'a long random text');
    for (const secret of guessable)
      it(`refuses a secret that is guessed at once, without repeating it: ${secret}`, () => {
        for (const given of [secret, [secret, long], [long, secret]])
          expect(start(given))
            .to.throw(OptionError, /characters|sample/)
            .that.satisfies(({ code, message }: OptionError) => {
              expect(message)
                .to.match(/32 bytes/)
                .and.not.include(secret);
              return code === 'ERR_INTELLIGENT_SESSION_SECRET';
            });
      });

    it('warns once of a secret below 32 bytes, and takes a long one, first or second', async () => {
      const warnings: (Error & { code?: string })[] = [];
      const heard = (warning: Error) => warnings.push(warning);
      process.on('warning', heard);
      try {
        for (const given of [long, [long, long], 'hV9-qk2LwZ', [long, 'hV9-qk2LwZ'], 'hV9-qk2LwZ7'])
          expect(start(given)).to.throw(OptionError, /genid/);
        await new Promise(setImmediate);
      } finally {
        process.off('warning', heard);
      }
      expect(warnings.map(({ code }) => code)).to.deep.equal(['ERR_INTELLIGENT_SESSION_SECRET']);
      expect(warnings[0]?.message)
        .to.match(/fewer than 32 bytes/)
        .and.not.include('hV9');
    });
  });

  it('takes any secret elsewhere', () => {
    expect(() => intelligentSession({ secret: 'x', session: { genid: 1 as never } })).to.throw(OptionError, /genid/);
  });
});
