import { createServer } from 'node:http';
import { intelligentSession } from 'intelligent-session';
import helpers from './visit.cjs';

const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
const server = createServer((req, res) =>
  sessions(req, res, async (error) => {
    if (error) return void res.writeHead(500).end();
    res.end(JSON.stringify(await helpers.answer(req)));
  }),
);
console.log(JSON.stringify({ answers: await helpers.visit(server, sessions) }));
