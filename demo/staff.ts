import { createHash, timingSafeEqual } from 'node:crypto';
import { type RequestHandler, Router } from 'express';
import { type Group, groups, type ShopNotifications } from './notifications.js';
import { nameIn } from './users.js';

/** Texts of any length become as long as each other, as timingSafeEqual() needs them. */
const hashOf = (text: string) => createHash('sha256').update(text).digest();

/** Lets in who gives the password, whatever the name, by HTTP Basic authentication: it is checked at each request and is in no session. */
function staffOnly(password: string): RequestHandler {
  const wanted = hashOf(password);
  return (req, res, next) => {
    const [scheme, credentials = ''] = req.headers.authorization?.split(' ') ?? [];
    const given = Buffer.from(credentials, 'base64').toString();
    const [, secret] = /^[^:]*:([^]*)$/.exec(given) ?? [];
    const isBasic = scheme?.toLowerCase() === 'basic' && secret !== undefined;
    const isStaff = isBasic && timingSafeEqual(hashOf(secret), wanted);
    if (isStaff) return next();
    res.set({ 'WWW-Authenticate': 'Basic realm="Staff of the shop", charset="UTF-8"' });
    res.status(401).render('message', {
      title: 'For the staff',
      text: 'Here the shop’s staff publishes notifications. The password is in the environment variable STAFF_PASSWORD; without one, npm start makes one and prints it.',
    });
  };
}

type Recipient = { readonly group: Group } | { readonly user: string };

/** Undefined: the form names no group, and nobody who can be a user. */
function recipientOf(to: unknown, name: unknown): Recipient | undefined {
  const group = groups.find((one) => one === to);
  if (group) return { group };
  const user = to === 'user' ? nameIn(name) : undefined;
  return user === undefined ? undefined : { user };
}

/** Undefined for an empty field of a form. */
const textOf = (field: unknown): string | undefined => (typeof field === 'string' && field.trim()) || undefined;

/** The staff's page: what is published, and a form that publishes. A page elsewhere can't send the form (guards.ts). */
export function staffPages(password: string, { publisher }: ShopNotifications): Router {
  const router = Router();
  router.use(staffOnly(password));
  router.get('/', async (req, res) => {
    const lists = await Promise.all(groups.map(async (group) => ({ group, items: await publisher.list({ group }) })));
    res.render('staff', { lists, sent: textOf(req.query.sent), refused: undefined, form: {} });
  });
  router.post('/publish', async (req, res) => {
    const { to, name, title, body, link } = req.body ?? {};
    const recipient = recipientOf(to, name);
    const refuse = (refused: string) =>
      res.status(400).render('staff', { lists: [], sent: undefined, refused, form: req.body ?? {} });
    if (!recipient) return refuse('Choose to whom it goes. A user’s name begins with a letter.');
    try {
      await publisher.publish(recipient, { title: textOf(title) ?? '', body: textOf(body), link: textOf(link) });
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code !== 'ERR_INTELLIGENT_SESSION_ARGUMENT') throw error;
      return refuse(message);
    }
    const sentTo = 'group' in recipient ? recipient.group : recipient.user;
    res.redirect(303, `/staff?sent=${encodeURIComponent(sentTo)}`);
  });
  router.post('/remove', async (req, res) => {
    const recipient = recipientOf(req.body?.to, undefined);
    if (recipient) await publisher.remove(recipient, String(req.body.id));
    res.redirect(303, '/staff');
  });
  return router;
}
