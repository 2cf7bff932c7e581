// What takes the store alone has no `req.intelligence`.
import express from 'express';
import session from 'express-session';
import { RedisSessionStore } from 'intelligent-session/store';

const app = express();
app.use(
  session({ store: new RedisSessionStore(), secret: 'a long random text', resave: false, saveUninitialized: false }),
);
app.get('/', (req, res) => {
  // @ts-expect-error
  req.intelligence;
  res.json(req.session.id);
});
