import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { sessionKey } from '../redis/keys.js';

export interface EncryptionOptions {
  /** At least 16 characters each: the first encrypts, all decrypt. To rotate, put the new one first. */
  readonly secrets: readonly string[];
  /** Sessions stored before encryption was switched on are read too. @default false */
  readonly acceptPlain?: boolean | undefined;
}

export interface Encryption {
  /** The value to store for a session's text. */
  encrypt(sid: string, text: string): string;
  /** The text of a stored value; undefined where it can't be decrypted: another secret, another session's, damaged. */
  decrypt(sid: string, value: string): string | undefined;
}

const NO_ENCRYPTION: Encryption = { encrypt: (_, text) => text, decrypt: (_, value) => value };

/** The beginning of every encrypted value names its format. */
const FORMAT = 'e2.';
/** The lengths that NIST SP 800-38D recommends for GCM: of the initialization vector, and of the authentication tag. */
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** The length of a key of AES-256. */
const KEY_BYTES = 32;

/**
 * AES-256-GCM: a value is `e2.` and the base64url of IV, tag and ciphertext. The session's key in Redis (`prefix` and id) is
 * authenticated with the value, so that a value that was copied to another key can't be read there.
 */
export function encryptionOf(options: EncryptionOptions | undefined, prefix: string): Encryption {
  if (!options) return NO_ENCRYPTION;
  const keys = options.secrets.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, 'intelligent-session', 'session data', KEY_BYTES)),
  );
  const keyInRedis = (sid: string) => Buffer.from(sessionKey(prefix, sid));
  return {
    encrypt(sid, text) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', keys[0] as Buffer, iv).setAAD(keyInRedis(sid));
      const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return FORMAT + Buffer.concat([iv, cipher.getAuthTag(), data]).toString('base64url');
    },
    decrypt(sid, value) {
      if (!value.startsWith(FORMAT)) return options.acceptPlain ? value : undefined;
      const bytes = Buffer.from(value.slice(FORMAT.length), 'base64url');
      if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
      for (const key of keys)
        try {
          const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), {
            authTagLength: TAG_BYTES,
          })
            .setAAD(keyInRedis(sid))
            .setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
          return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
        } catch {
          // The value was encrypted with another secret, or is damaged: the next secret is tried.
        }
      return undefined;
    },
  };
}
