// The same package, required: a CommonJS file of a project whose modules are Node's.
import type { Store } from 'express-session';
import { intelligentSession, OptionError } from 'intelligent-session';
import all = require('intelligent-session');
import bloom = require('intelligent-session/bloom');
import { RedisSessionStore } from 'intelligent-session/store';
import worker = require('intelligent-session/worker');

const sessions = intelligentSession({ redis: process.env['REDIS_URL'] });
const store: Store = new RedisSessionStore({ redis: process.env['REDIS_URL'] });
const handler: all.IntelligentSession = all.default();
const running: Promise<worker.Worker> = worker.createWorker();
export = { sessions, store, handler, running, OptionError, createBloomFilter: bloom.createBloomFilter };
