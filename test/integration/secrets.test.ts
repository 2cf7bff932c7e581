import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { expect } from 'chai';
import express from 'express';
import { Cluster, ReplyError } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  applicationFault,
  hidePasswords,
  IntelligentSessionError,
  OptionError,
  redisFault,
} from '../../lib/errors/errors.js';
import { createWorker, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { targetOfUrls } from '../../lib/redis/target-of-urls.js';
import { Site, Visitor } from '../support/site.js';

const SECRET = 'recognisable-5ecret';
const USER = 'recognisable-u5er';
const everythingOf = (error: unknown) => inspect(error, { depth: 10, showHidden: true });

function expectNoSecret(text: string, what: string): void {
  expect(text, what).to.not.contain(SECRET);
  expect(text, what).to.not.contain(USER);
}

describe('secrets in what is told', () => {
  let redis: PrivateRedis;
  before(async () => {
    redis = await startPrivateRedis({ args: ['--rename-command', 'AUTH', '', '--rename-command', 'HELLO', ''] });
  });
  after(() => redis?.stop());
  const url = () => `redis://${USER}:${SECRET}@127.0.0.1:${redis.port}`;

  it('a server without AUTH: no event, no error page of Express, no rejection says user or password', async () => {
    const sessions = intelligentSession({ redis: url(), secret: 's', maxWaitMs: 400, store: { whenAway: 'error' } });
    const told: string[] = [];
    for (const event of ['away', 'fault']) sessions.store.on(event, (error) => told.push(everythingOf(error)));
    sessions.serving.on('fault', (error) => told.push(everythingOf(error)));
    const away = once(sessions.store, 'away');
    const site = await Site.open(express().set('env', 'development').use(sessions));
    try {
      const visitor = new Visitor(site.url);
      const signature = createHmac('sha256', 's').update('abc').digest('base64').replace(/=+$/, '');
      visitor.cookie = `connect.sid=${encodeURIComponent(`s:abc.${signature}`)}`;
      await away;
      const page = await (await visitor.fetch('/')).text();
      expect(page).to.contain('ERR_INTELLIGENT_SESSION_NOT_READY');
      expectNoSecret(page, 'the error page');
      const rejected = await createWorker({ redis: url() }).catch((error: unknown) => error);
      expect(rejected).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      expectNoSecret(everythingOf(rejected), 'the rejection');
      expect(told).to.not.have.length(0);
      expectNoSecret(told.join('\n'), 'the events');
    } finally {
      await sessions.close({ timeout: 0 });
      await site.close();
    }
  });

  it('an answer that repeats them in other words is cleaned, too', () => {
    const error = Object.assign(new ReplyError(`ERR bad command: AUTH ${USER} ${SECRET}`), {
      command: { name: 'auth', args: [USER, SECRET] },
    });
    expectNoSecret(everythingOf(redisFault(error)), 'a fault');
    const held = new Error('of an application', { cause: error });
    expectNoSecret(everythingOf(applicationFault(held)), 'an application’s error with it inside');
    const own = new Error('of an application');
    expect(applicationFault(own)).to.equal(own);
  });

  it('an error’s cause says what it was, with its code, stack and causes, and carries no command', () => {
    const command = { name: 'auth', args: [USER, SECRET] };
    const refused = Object.assign(new Error(`connect ECONNREFUSED ${SECRET}`), {
      ...{ code: 'ECONNREFUSED', address: SECRET, command },
    });
    const thrown = Object.assign(new ReplyError(`ERR unknown command 'X', with args beginning with: '${SECRET}'`), {
      ...{ command, input: SECRET, lastNodeError: refused },
    });
    const fault = redisFault(thrown);
    expectNoSecret(everythingOf(fault), 'the fault');
    const cause = fault.cause as Error & { cause: NodeJS.ErrnoException };
    expect(cause).to.include({ name: 'ReplyError', message: "ERR unknown command 'X'" });
    expect(cause.stack).to.match(/^ReplyError: ERR unknown command 'X'\n {4}at /);
    expect(cause.cause).to.include({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED …' });
    expect(Object.keys(cause.cause)).to.deep.equal(['code']);
  });

  it('an OptionError is an error of the package', () => {
    expect(new OptionError('x')).to.be.instanceOf(IntelligentSessionError).and.have.property('name', 'OptionError');
  });

  it('an error’s text writes no line of its own, and nothing that a terminal acts on', () => {
    const { message } = redisFault(new Error('a\nWARN forged\r\u001b[2Jb\u2028c\u009b'));
    expect(message).to.not.match(/[\p{Cc}\p{Zl}]/u);
    expect(message).to.contain('a\\u{000a}WARN forged\\u{000d}\\u{001b}[2Jb\\u{2028}c');
    expect(new OptionError('a\nb').message).to.not.contain('\n');
  });

  it('an application’s error goes on with its class, its fields and its stack, and nothing that a terminal acts on', () => {
    const raw = '\u001b[2J\nWARN forged\u009b';
    const thrown = Object.assign(new RangeError(raw), { code: 'THEIRS' });
    const told = applicationFault(thrown);
    expect(told).to.be.instanceOf(RangeError).and.have.property('code', 'THEIRS');
    expect(told.message).to.equal('\\u{001b}[2J\\u{000a}WARN forged\\u{009b}');
    expect(told.stack).to.match(/^RangeError: [^\n]*forged[^\n]*\n {4}at /);
    expect(`${told.stack}${inspect(told)}`.replaceAll('\n', '')).to.not.match(/\p{Cc}/u);
    expect(applicationFault(Object.assign(new Error('a'), { name: raw })).name).to.not.match(/\p{Cc}/u);
    expect(thrown.message).to.equal(raw);
    const cause = new Error('why');
    expect(applicationFault(new Error(raw, { cause })).cause).to.equal(cause);
    const inner = applicationFault(new AggregateError([new Error(raw), cause], 'two', { cause: new Error(raw) }));
    expect(inner).to.be.instanceOf(AggregateError);
    expect(inspect(inner).replaceAll('\n', '')).to.not.match(/\p{Cc}/u);
    expect((inner as AggregateError).errors[1]).to.equal(cause);
  });

  it('a short or common secret blanks no ordinary words, and stands nowhere by itself', () => {
    const wrong = 'WRONGPASS invalid username-password pair or user is disabled.';
    for (const [user, secret] of [
      ['user', 'pair'], // what is hidden stays so for all tests of this process: odd words only
      ['username', 'password'],
      ['disabled', 'WRONGPASS'],
    ] as const) {
      const faultOf = (text: string) =>
        redisFault(Object.assign(new ReplyError(text), { command: { name: 'auth', args: [user, secret] } })).message;
      expect(faultOf(wrong)).to.contain(wrong);
      expect(faultOf(`ERR unknown: AUTH '${user}' '${secret}'`)).to.contain("AUTH '…' '…'");
    }
    hidePasswords('disabled', 'crocodile');
    expect(redisFault(new Error(wrong)).message).to.contain(wrong);
    const text = 'the crocodile is crocodile1, crocodiles are many';
    expect(redisFault(new Error(text)).message).to.contain('the … is crocodile1, crocodiles are many');
    hidePasswords('recognisable-5ecret');
    expect(redisFault(new Error(`AUTHrecognisable-5ecret2`)).message).to.contain('AUTH…2');
  });

  it('a URL that can’t be read is a coded error without it, wherever it is given', () => {
    const wrong = [
      `redis://${USER}:${SECRET}%@h`,
      `redis://${USER}:a/${SECRET}@h`,
      `redis://${USER}:12/${SECRET}@h`,
      `redis://${USER}:12#${SECRET}@h`,
      `redis://${USER}:12?${SECRET}@h`,
      `redis://${USER}:${SECRET}@h:99999`,
      `redis://${USER}:${SECRET}@[h`,
      `${USER}:${SECRET}@h`,
      `http://${USER}:${SECRET}@h`,
    ];
    const ways: Record<string, (text: string) => unknown> = {
      redis: (text) => intelligentSession({ redis: text, secret: 's' }),
      store: (text) => new RedisSessionStore({ url: text }),
      '--cluster': (text) => targetOfUrls(text, { cluster: true }),
      '--sentinel': (text) => targetOfUrls(`redis://a,${text}`, { sentinel: 'main' }),
      Cluster: (text) => new RedisSessionStore({ client: new Cluster([text], { lazyConnect: true }) }),
      REDIS_URL: (text) => {
        const before = process.env.REDIS_URL;
        process.env.REDIS_URL = text;
        try {
          return new RedisSessionStore();
        } finally {
          if (before === undefined) delete process.env.REDIS_URL;
          else process.env.REDIS_URL = before;
        }
      },
    };
    for (const [way, given] of Object.entries(ways))
      for (const text of wrong) {
        if (way === 'Cluster' && !text.startsWith('redis:')) continue; // host:port is a node's form there
        let thrown: unknown;
        try {
          given(text);
        } catch (error) {
          thrown = error;
        }
        expect(thrown, `${way} ${text}`).to.have.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
        expectNoSecret(everythingOf(thrown), way);
      }
  });

  it('what an application’s command threw from Redis carries no argument in the event, and one line in the log', async () => {
    const plain = await startPrivateRedis();
    const lines: string[] = [];
    const worker = await createWorker({
      redis: plain.url,
      log: { info() {}, warn: (line) => lines.push(line) },
      commands: {
        leak: ({ redis: client }) => client.call('HELLO', '3', 'AUTH', USER, SECRET),
        forge: ({ payload }) => {
          throw new Error(`no such page: ${payload}`);
        },
      },
    });
    const sessions = intelligentSession({ redis: plain.url, secret: 's' });
    try {
      for (const command of ['leak', 'forge']) {
        const fault = once(worker, 'fault');
        sessions.serving.send(command, 'sid', '/a\nlistening at \u001b[31m', { ttlSeconds: 60 });
        const [error] = await fault;
        expectNoSecret(everythingOf(error), command);
        expect(error.message).to.not.match(/\p{Cc}/u);
      }
      expect(lines).to.have.length(2);
      expect(lines[1]).to.contain('forge: no such page: /a\\u{000a}');
      expect(lines.join('')).to.not.match(/\p{Cc}/u);
    } finally {
      await sessions.close();
      await worker.close();
      await plain.stop();
    }
  });
});
