import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import intelligentSessionToo, * as all from 'intelligent-session';
import { createBloomFilter } from 'intelligent-session/bloom';
import { createNotifications } from 'intelligent-session/notifications';
import { RedisSessionStore } from 'intelligent-session/store';
import { Worker } from 'intelligent-session/worker';
import helpers from './visit.cjs';

// `npm i express@4` and `express@5` are one folder: the name of the other is given
const { default: express } = await import(process.argv[2] ?? 'express');
const app = express();
const sessions = all.intelligentSession({ secret: 'consumer', worker: 'embedded' });
app.use(sessions);
app.get('/', async (req, res) => res.json(await helpers.answer(req)));

// one copy of everything, whichever way it came
const require = createRequire(import.meta.url);
const required = require('intelligent-session');
const same =
  sessions.store instanceof RedisSessionStore &&
  sessions.store instanceof require('intelligent-session/store').RedisSessionStore &&
  required.RedisSessionStore === all.RedisSessionStore &&
  required.default === intelligentSessionToo &&
  require('intelligent-session/worker').Worker === Worker &&
  required.createBloomFilter === all.createBloomFilter &&
  typeof createBloomFilter === 'function' &&
  require('intelligent-session/notifications').createNotifications === createNotifications &&
  sessions.store instanceof require('express-session').Store;
let refused;
try {
  all.intelligentSession({ nonsense: 1 });
} catch (error) {
  refused = error instanceof required.OptionError && error.code;
}
const answers = await helpers.visit(createServer(app), sessions);
console.log(JSON.stringify({ answers, same, refused }));
