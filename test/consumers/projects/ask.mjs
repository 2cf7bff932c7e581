import { createServer } from 'node:http';
import { intelligentSession } from 'intelligent-session';
import helpers from './visit.cjs';

const sessions = intelligentSession({ secret: 'consumer', timeout: 5_000 });
const server = createServer((req, res) =>
  sessions(req, res, async () => res.end(JSON.stringify(await req.intelligence.ask('greet', 'you')))),
);
console.log(JSON.stringify({ answers: await helpers.visit(server, sessions) }));
