// Only what this project names can be seen from here, and its types of express-session are older than ours.
import session from 'express-session';
import { intelligentSession, RedisSessionStore } from 'intelligent-session';
import { register, Registry } from 'prom-client';

const sessions = intelligentSession({
  redis: process.env['REDIS_URL'],
  track: (req) => req.path !== '/health',
  bots: (req) => req.get('user-agent') === 'mine',
});
session({ store: new RedisSessionStore({ url: process.env['REDIS_URL'] }), secret: 'a long random text' });
export const all: Registry = Registry.merge([register, sessions.serving.metrics]);
// @ts-expect-error with prom-client there, its types are known
sessions.serving.metrics.nonsense();
