import { randomBytes } from 'node:crypto';

/** Numbers have six digits to the base 36. */
const LAST_NUMBER = 36 ** 6 - 1;

/** The ids of an executor's requests, `<sender>~<number>`: in ascending order, by which it is known what was counted before. */
export class RequestIds {
  #sender = newSender();
  #number = 0;

  next(): string {
    if (this.#number === LAST_NUMBER) [this.#sender, this.#number] = [newSender(), 0];
    this.#number++;
    return `${this.#sender}~${this.#number.toString(36)}`;
  }
}

const newSender = (): string => randomBytes(6).toString('base64url');
