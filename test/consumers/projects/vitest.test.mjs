import { createServer } from 'node:http';
import express from 'express';
import { intelligentSession, OptionError } from 'intelligent-session';
import { RedisSessionStore } from 'intelligent-session/store';
import { expect, test } from 'vitest';
import helpers from './visit.cjs';

test('a site under Vitest', async () => {
  const app = express();
  const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
  app.use(sessions);
  app.get('/', async (req, res) => res.json(await helpers.answer(req)));
  expect(sessions.store).toBeInstanceOf(RedisSessionStore);
  expect(() => intelligentSession({ nonsense: 1 })).toThrow(OptionError);
  expect(await helpers.visit(createServer(app), sessions)).toEqual([
    { pages: 1, visits: 1 },
    { pages: 2, visits: 2 },
  ]);
});
