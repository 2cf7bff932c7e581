import { createServer } from 'node:http';
import express from 'express';
import { intelligentSession } from 'intelligent-session';
import helpers from './visit.cjs';

const app = express();
const store = { nearCache: {} };
const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded', store });
app.use(sessions);
app.get('/', async (req, res) => res.json(await helpers.answer(req)));
helpers.visit(createServer(app), sessions).then((answers) => console.log(JSON.stringify({ answers })));
