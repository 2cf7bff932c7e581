import { isCarry } from '../intelligence/commands-outside-script.js';
import { builtIn } from '../intelligence/commands.js';
import type { Answer, Question } from './executor.js';

type Answered = (answer: Answer) => void;

/** Knows to which users something is being carried, of what this process has asked: what it asks about them waits for the carry's end. */
export class CarriesUnderWay {
  readonly #users = new Map<string, number>();

  has(subject: string): boolean {
    return this.#users.has(subject);
  }

  /** To be called with each question that is sent. Gives what is to be called with its answer. */
  noted({ command, sid }: Question, answered: Answered): Answered {
    if (!isCarry({ builtIn: builtIn.get(command) })) return answered;
    this.#add(sid, 1);
    return (answer) => {
      this.#add(sid, -1);
      answered(answer);
    };
  }

  #add(user: string, change: number): void {
    const count = (this.#users.get(user) ?? 0) + change;
    if (count === 0) this.#users.delete(user);
    else this.#users.set(user, count);
  }
}
