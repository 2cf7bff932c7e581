import { createServer } from 'node:http';
import express from 'express';
import { intelligentSession } from 'intelligent-session';
import { Registry } from 'prom-client';
import helpers from './visit.cjs';

const app = express();
const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
app.use(sessions);
app.get('/', async (req, res) => res.json(await helpers.answer(req)));
const answers = await helpers.visit(createServer(app), sessions);
const text = await Registry.merge([sessions.store.metrics, sessions.serving.metrics]).metrics();
const metrics = text
  .split('\n')
  .filter((line) => /^intelligent_session_(requests|store)_total.*(pageview|saved)/.test(line));
console.log(JSON.stringify({ answers, metrics }));
