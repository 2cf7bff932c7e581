import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { sessionKey } from '../redis/keys.js';

export interface SealOptions {
  /** At least 16 characters each: the first encrypts, all decrypt. To rotate, put the new one first. */
  readonly secrets: readonly string[];
  /** Sessions stored before encryption was switched on are read too. @default false */
  readonly acceptPlain?: boolean | undefined;
}

/** Turns a session's text into what is stored, and back; undefined where that can't be done. */
export interface Seal {
  seal(sid: string, text: string): string;
  open(sid: string, stored: string): string | undefined;
}

const plain: Seal = { seal: (_, text) => text, open: (_, stored) => stored };

const MARK = 'e2.';
const IV = 12;
const TAG = 16;

/** AES-256-GCM, `e2.` and base64url of IV, tag and ciphertext; bound to its key in Redis, so that none stands for another. */
export function sealOf(options: SealOptions | undefined, prefix: string): Seal {
  if (!options) return plain;
  const keys = options.secrets.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, 'intelligent-session', 'session data', 32)),
  );
  const boundTo = (sid: string) => Buffer.from(sessionKey(prefix, sid));
  return {
    seal(sid, text) {
      const iv = randomBytes(IV);
      const cipher = createCipheriv('aes-256-gcm', keys[0] as Buffer, iv).setAAD(boundTo(sid));
      const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return MARK + Buffer.concat([iv, cipher.getAuthTag(), data]).toString('base64url');
    },
    open(sid, stored) {
      if (!stored.startsWith(MARK)) return options.acceptPlain ? stored : undefined;
      const bytes = Buffer.from(stored.slice(MARK.length), 'base64url');
      if (bytes.length < IV + TAG) return undefined;
      for (const key of keys)
        try {
          const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV), { authTagLength: TAG })
            .setAAD(boundTo(sid))
            .setAuthTag(bytes.subarray(IV, IV + TAG));
          return decipher.update(bytes.subarray(IV + TAG), undefined, 'utf8') + decipher.final('utf8');
        } catch {
          // another key, or damaged
        }
      return undefined;
    },
  };
}
