import { randomBytes } from 'node:crypto';

/** The highest number: a dedup token has room for six digits to the base 36 (dedup-token.ts). */
const LAST_NUMBER = 36 ** 6 - 1;

/**
 * Makes the ids of a process' requests, `<sender>~<number>`. The numbers ascend, so that a request that comes a second time is
 * known as counted, however late it comes (was_counted() in activity-ring.lua).
 */
export class RequestIds {
  #sender = newSender();
  #number = 0;

  next(): string {
    if (this.#number === LAST_NUMBER) [this.#sender, this.#number] = [newSender(), 0];
    this.#number++;
    return `${this.#sender}~${this.#number.toString(36)}`;
  }
}

/** 48 random bits, so that no two processes have the same. */
const newSender = (): string => randomBytes(6).toString('base64url');
