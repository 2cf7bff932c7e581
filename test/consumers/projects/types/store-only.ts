// What takes the store alone has no `req.intelligence`.
import express from 'express';
import session from 'express-session';
import { mergeGrowing, type MergeSessions, RedisSessionStore } from 'intelligent-session/store';

declare module 'express-session' {
  interface SessionData {
    merged: { cart: string[] };
    seenAt: number;
  }
}
const lists: MergeSessions = mergeGrowing('merged');
new RedisSessionStore({
  merge: (base, mine, theirs) => ({
    ...lists(base, mine, theirs),
    seenAt: Math.max(mine.seenAt ?? 0, theirs.seenAt ?? 0),
  }),
});
// @ts-expect-error the cookie is not there
const withCookie: MergeSessions = (base, mine) => ({ ...mine, seenAt: mine.cookie.maxAge });
// @ts-expect-error it makes the function, and is none
new RedisSessionStore({ merge: mergeGrowing });

const app = express();
app.use(
  session({ store: new RedisSessionStore(), secret: 'a long random text', resave: false, saveUninitialized: false }),
);
app.get('/', (req, res) => {
  // @ts-expect-error
  req.intelligence;
  res.json(req.session.id);
});
