import { isCarry } from '../intelligence/commands-outside-script.js';
import { builtIn } from '../intelligence/commands.js';
import type { Answer, Question } from './executor.js';

type Answered = (answer: Answer) => void;

/** Knows the users to whom this process has data carried, at a login: what it asks about them waits for the carry's end. */
export class CarriesUnderWay {
  /** How many carries are under way, by the user's subject. */
  readonly #counts = new Map<string, number>();

  has(subject: string): boolean {
    return this.#counts.has(subject);
  }

  /** To be called with each question that is sent. Gives what is to be called with its answer for `answered`. */
  noted({ command, sid }: Question, answered: Answered): Answered {
    if (!isCarry({ builtIn: builtIn.get(command) })) return answered;
    this.#add(sid, 1);
    return (answer) => {
      this.#add(sid, -1);
      answered(answer);
    };
  }

  #add(user: string, change: number): void {
    const count = (this.#counts.get(user) ?? 0) + change;
    if (count === 0) this.#counts.delete(user);
    else this.#counts.set(user, count);
  }
}
