import { OptionError } from '../lib/errors/errors.js';
import { warn } from '../lib/errors/warnings.js';

const CODE = 'ERR_INTELLIGENT_SESSION_SECRET';
const WANTED =
  'a random text of 32 bytes or more that nobody else has: node -p "crypto.randomBytes(32).toString(\'base64url\')"';

/** A secret with fewer characters is guessed from one cookie within hours. */
const FEWEST_CHARACTERS = 8;
const FEWEST_DIFFERENT = 4;
/** The length of what HMAC-SHA256 gives, which signs the cookie: a key should be as long (RFC 2104, section 3). */
const WANTED_BYTES = 32;

/**
 * Secrets of documentation and tutorials, this package's too, which are guessed first: their letters, as small ones, and
 * digits.
 */
const SAMPLES = new Set(
  (
    'keyboardcat secret mysecret mysecretkey secretkey thesecret topsecret supersecret supersecretkey yoursecret yoursecretkey ' +
    'yoursecrethere yoursessionsecret sessionsecret sessionsecretkey somesecret somesecretkey anysecret averysecretkey verysecret ' +
    'verysecretkey notsosecret shhhhsecret itsasecret thisisasecret thisismysecret thisisasecretkey secretsession secretcode ' +
    'secretsecret secretstring secret123 secret1234 password password1 password123 changeme changethis changethissecret ' +
    'pleasechangeme replaceme default example development production test testing testsecret devsecret cookiesecret ' +
    'expresssession connectsid 12345678 123456789 1234567890 qwertyuiop abcdefgh alongrandomtext onlyforthedemo'
  ).split(' '),
);

let warned = false;

/** In production a secret that can be guessed is an OptionError, and one that is short is a warning, once a process. */
export function checkSecret(secret: string | readonly string[]): void {
  const secrets = typeof secret === 'string' ? [secret] : secret;
  for (const [i, one] of secrets.entries()) {
    // Each of several secrets is accepted: who guesses an old one can sign any cookie.
    const which = secrets.length > 1 ? `number ${i + 1} of option "secret"` : 'option "secret" or SESSION_SECRET';
    const why = whyGuessable(one);
    if (why) throw new OptionError(`intelligentSession(): ${which} ${why}; wanted: ${WANTED}`, CODE);
    if (Buffer.byteLength(one) >= WANTED_BYTES || warned) continue;
    warned = true;
    warn('INTELLIGENT_SESSION_SHORT_SECRET', `${which} has fewer than ${WANTED_BYTES} bytes; wanted: ${WANTED}`);
  }
}

let warnedOfUsers = false;

/** In production a warning, once a process, where users' keys in Redis follow from their ids alone. */
export function checkUsersAreKeyed(user: unknown, itemSecret: unknown): void {
  if (user === undefined || itemSecret !== undefined || warnedOfUsers) return;
  warnedOfUsers = true;
  warn(
    'INTELLIGENT_SESSION_USERS_GUESSABLE',
    'option "user" without option "itemSecret": who can read keys of Redis and guesses a user\'s id can find that user\'s key',
  );
}

function whyGuessable(secret: string): string | undefined {
  if (secret.length < FEWEST_CHARACTERS) return `has fewer than ${FEWEST_CHARACTERS} characters`;
  if (new Set(secret).size < FEWEST_DIFFERENT) return `has fewer than ${FEWEST_DIFFERENT} different characters`;
  if (SAMPLES.has(secret.toLowerCase().replace(/[^a-z0-9]/g, ''))) return 'is a sample that everybody knows';
  return undefined;
}
