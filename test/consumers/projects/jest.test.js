const { createServer } = require('node:http');
const express = require('express');
const { intelligentSession, OptionError } = require('intelligent-session');
const { RedisSessionStore } = require('intelligent-session/store');
const { answer, visit } = require('./visit.cjs');

test('a site under Jest, which knows CommonJS only', async () => {
  const app = express();
  const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded', store: { nearCache: {} } });
  app.use(sessions);
  app.get('/', async (req, res) => res.json(await answer(req)));
  expect(sessions.store).toBeInstanceOf(RedisSessionStore);
  expect(() => intelligentSession({ nonsense: 1 })).toThrow(OptionError);
  expect(await visit(createServer(app), sessions)).toEqual([
    { pages: 1, visits: 1 },
    { pages: 2, visits: 2 },
  ]);
});
