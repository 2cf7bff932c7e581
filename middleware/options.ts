import type { Store } from 'express-session';
import * as v from 'valibot';
import * as check from '../lib/options/checks.js';
import { about, withNeeds } from '../lib/options/option-facts.js';
import { durable } from '../lib/notifications/options.js';
import { maxWaitMs, redisEntries } from '../lib/redis/redis-option.js';
import {
  DEFAULT_BACKLOG,
  DEFAULT_BACKLOG_BYTES,
  DEFAULT_REPLY_CONNECTIONS,
} from '../lib/serving/remote-executor-options.js';
import { executorEntries, sharedEntries } from '../lib/worker/shared-options.js';
import type { Consent } from './consent.js';
import type { StoreOptions } from './intelligent-session-options.js';
import type { SiteNotifications } from './notification-groups.js';
import type { UserOption } from './subjects.js';
import type { Track } from './tracking.js';
import { type Bots, declaredBots } from './visitor-policy.js';

/** What options about messages need: with `worker: 'embedded'` there are none. */
const EXTERNAL = { worker: 'external' };
/** What options about streams need. */
const STREAM = { ...EXTERNAL, transport: 'stream' };
const { namespace, transport, partitions, maxMessageAgeSeconds } = sharedEntries;

/** An option of express-session's; its type is express-session's, too (intelligent-session-options.ts). */
const typedElsewhere = (schema: v.GenericSchema) => v.optional(schema as ReturnType<typeof v.any>);
const isOn = typedElsewhere(v.boolean());
const cookieName = typedElsewhere(v.pipe(v.string(), v.minLength(1)));
/** express-session itself checks the cookie (express-session-options.ts), and would take most others whatever they are. */
const sessionSchema = v.strictObject({
  ...{ cookie: typedElsewhere(v.any()), genid: typedElsewhere(check.functionOf()), name: cookieName, key: cookieName },
  ...{ proxy: isOn, resave: isOn, rolling: isOn, saveUninitialized: isOn },
  unset: typedElsewhere(v.picklist(['destroy', 'keep'])),
});

export const schema = v.strictObject({
  ...redisEntries,
  secret: v.pipe(
    v.optional(
      v.custom<string | string[]>(
        (value) => [value].flat().length > 0 && [value].flat().every((one) => typeof one === 'string' && one !== ''),
        'a text that is not empty, or a list of such',
      ),
    ),
    about('Signs the cookie: a text, or several, of which the first signs and all are accepted.', {
      more:
        'In production it is an error at start where it is missing, where one of them has fewer than 8 characters or 4 different ones, or ' +
        'is a sample of a tutorial (`keyboard cat`, `secret`). Fewer than 32 bytes are a warning, once for each process.',
      defaultText: '`SESSION_SECRET`',
    }),
  ),
  namespace,
  session: v.pipe(
    v.optional(sessionSchema, {}),
    about("express-session's other options.", {
      more:
        'They are `cookie`, `genid`, `name` (or `key`), `proxy`, `resave`, `rolling`, `saveUninitialized` and `unset`; `resave` is ' +
        'false and `saveUninitialized` is true unless you say otherwise.',
    }),
  ),
  store: v.pipe(
    v.optional(
      v.custom<Store | StoreOptions>(
        (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
        "a store of express-session's kind, or an object of RedisSessionStore's options",
      ),
      {},
    ),
    about('Options of [`RedisSessionStore`](#redissessionstore), or a store of your own.'),
  ),
  track: v.pipe(
    v.optional(
      v.custom<Track>(
        (value) => typeof value === 'boolean' || typeof value === 'function' || value === 'route',
        'true, false, "route" or a function',
      ),
      true,
    ),
    about('[Which requests count by themselves](page-views.md#what-a-page-is), and under which name.', {
      more: "`true`, `false`, `'route'`, or a function of the request that gives true, false or the page's name.",
    }),
  ),
  pages: v.pipe(
    v.optional(
      v.strictObject({
        strict: v.pipe(v.optional(v.boolean(), false), about('Whether `/news/1/` is another page than `/news/1`.')),
        query: v.pipe(
          v.optional(check.list(v.pipe(v.string(), v.minLength(1))), []),
          about("Parameters of the query that belong to a page's name, sorted in it."),
        ),
      }),
      {},
    ),
    about("What belongs to [a page's name](page-views.md#one-page-one-name) besides its path."),
  ),
  bots: v.pipe(
    v.optional(
      v.custom<Bots>((value) => value === false || typeof value === 'function', 'false or a function'),
      () => declaredBots,
    ),
    about("[Which requests are a bot's](page-views.md#bots): a function of the request, or `false` for none.", {
      more: 'They are not tracked, and a session of theirs that holds nothing is not stored.',
      defaultText: 'isbot, by the user agent',
    }),
  ),
  consent: v.pipe(
    v.optional(v.custom<Consent>((value) => typeof value === 'function', 'a function')),
    about(
      'Who [consents to being tracked](privacy.md#consent): a function of the request, which is not asked for bots.',
      {
        more:
          'True or false decides; undefined means no if the browser sends `Sec-GPC: 1`, and else yes. It is called before the session is ' +
          'read. Without consent nothing is sent, but for what a user who is logged in does with notifications, and a session that ' +
          'holds nothing is not stored.',
        defaultText: 'by `Sec-GPC`',
      },
    ),
  ),
  notifications: v.pipe(
    v.optional(
      v.strictObject({
        groups: v.pipe(
          v.custom<SiteNotifications['groups']>((value) => typeof value === 'function', 'a function'),
          about(
            'The names of the groups that a visitor is in: a function of the request that gives a list, of 100 at most.',
          ),
        ),
        earlier: v.pipe(
          v.optional(v.picklist(['unread', 'read']), 'unread'),
          about("What a group had before a visitor first asked for any: `'unread'` or `'read'`."),
        ),
        durable,
      }),
    ),
    about('[Published notifications](notifications.md): which groups a visitor is in.', {
      more: 'With it this process has two connections more, one of them for what is told of changes; with `durable` a third.',
    }),
  ),
  user: v.pipe(
    v.optional(
      v.custom<UserOption>(
        (value) => typeof value === 'function' || value === 'identify',
        "a function of the session, or 'identify'",
      ),
    ),
    about(
      "[Who is the user](users.md) of a session: a function of the session, whose answer is a text or a number, or `'identify'`, where `req.intelligence.identify()` says it.",
      {
        more:
          'What is known of a visitor is then carried to the user at a login and is there on each of the user’s devices, and who comes ' +
          'after a logout finds nothing of it. `sessionsOf()` and `destroyAllOf()` of the store need the function.',
      },
    ),
  ),
  keepUsersForDays: v.pipe(
    v.optional(check.integer(1, 400), 90),
    about('How long what is known of a user is kept, from the last use on.', { unit: 'days', more: 'Needs `user`.' }),
  ),
  rotateEvery: v.pipe(
    v.optional(check.integer(60, 34_560_000)),
    about("How often a session's [id is renewed](sessions.md#ids-that-are-renewed) by itself.", {
      unit: 'seconds',
      more: 'It needs a store that is made here (`store` has options, or is left out), and all processes that share the sessions have to have it.',
    }),
  ),
  rotateGrace: v.pipe(
    v.optional(check.integer(1, 3600), 10),
    about('How long the old id still leads to the session once a request has come with the new one.', {
      unit: 'seconds',
      more: 'Give it more than a page takes to answer, and at most `rotateEvery`, which it needs.',
    }),
  ),
  timeout: v.pipe(
    v.optional(check.integer(1, 60_000), 100),
    about('How long a request waits for an answer, on top of the way to Redis and back, which is measured.', {
      unit: 'ms',
    }),
  ),
  maxWaitMs,
  ...withNeeds({ transport }, EXTERNAL),
  ...withNeeds({ partitions }, STREAM),
  maxBacklog: v.pipe(
    v.optional(check.integer(1), DEFAULT_BACKLOG),
    about('How many messages each stream holds at most; more are refused.', { needs: STREAM }),
  ),
  maxBacklogBytes: v.pipe(
    v.optional(check.integer(1), DEFAULT_BACKLOG_BYTES),
    about('What each stream takes at most, by MEMORY USAGE; more messages are refused.', {
      unit: 'bytes',
      needs: STREAM,
    }),
  ),
  ...withNeeds({ maxMessageAgeSeconds }, STREAM),
  replies: v.pipe(
    v.optional(check.replies, 'inbox'),
    about("[How answers come](transports.md#how-answers-come): one list a process, or, with `'list'`, one a request.", {
      needs: EXTERNAL,
    }),
  ),
  replyConnections: v.pipe(
    v.optional(check.integer(1, 1000), DEFAULT_REPLY_CONNECTIONS),
    about('How many connections wait for answers, each for one list at a time.', {
      needs: { ...EXTERNAL, replies: 'list' },
    }),
  ),
  worker: v.pipe(
    v.optional(v.picklist(['external', 'embedded']), 'external'),
    about(
      "Who carries out commands: workers in processes of their own, or, with `'embedded'`, [this process itself](transports.md#without-a-worker).",
      {
        more:
          "Embedded, there are no messages: scripts run over one connection beside the store's. External workers may serve the same " +
          'namespace at the same time.',
      },
    ),
  ),
  ...withNeeds(executorEntries, { worker: 'embedded' }),
  itemSecret: v.pipe(
    v.optional(check.itemSecrets),
    about(
      'A secret of 16 characters at least: pages and notification ids are replaced by codes before they are sent.',
      {
        more:
          'Each visitor has codes of their own (HMAC-SHA256 and AES-256): neither messages nor answers nor what is kept says the pages ' +
          '([SECURITY.md](../SECURITY.md#what-redis-owner-learns)). Users, and the groups of which somebody has read, are named by an HMAC. ' +
          'To change it, give a list of the new secret and the former one: what was ' +
          'seen is found ([another secret](users.md#another-secret)).',
      },
    ),
  ),
  combos: v.pipe(
    v.optional(
      check.list(
        v.strictObject({
          name: v.pipe(v.string(), about("The rule's name.")),
          pages: v.pipe(check.list(v.string(), 1), about('Its pages, one at least.')),
          suggest: v.pipe(v.optional(v.any()), about('What it suggests: anything.')),
        }),
      ),
      [],
    ),
    about('[Rules for suggestions](combos.md), a list.'),
  ),
});
