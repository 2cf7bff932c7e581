const { createServer } = require('node:http');
const { intelligentSession, RedisSessionStore, OptionError } = require('intelligent-session');
const { answer, visit } = require('./visit.cjs');

async function main() {
  const express = require(process.argv[2] ?? 'express');
  const app = express();
  const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
  app.use(sessions);
  app.get('/', (req, res, next) => answer(req).then((body) => res.json(body), next));
  const imported = await import('intelligent-session');
  const same =
    sessions.store instanceof imported.RedisSessionStore &&
    sessions.store instanceof RedisSessionStore &&
    imported.default === intelligentSession &&
    imported.OptionError === OptionError;
  console.log(JSON.stringify({ answers: await visit(createServer(app), sessions), same }));
}
main();
