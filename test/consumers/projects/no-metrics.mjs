import { createServer } from 'node:http';
import { intelligentSession } from 'intelligent-session';
import helpers from './visit.cjs';

const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
const server = createServer((req, res) =>
  sessions(req, res, async () => res.end(JSON.stringify(await helpers.answer(req)))),
);
const answers = await helpers.visit(server, sessions);
const codes = [sessions.store, sessions.serving].map((counted) => {
  try {
    return counted.metrics;
  } catch (error) {
    return error.code;
  }
});
console.log(JSON.stringify({ answers, codes }));
