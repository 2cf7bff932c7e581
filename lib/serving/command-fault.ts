import { IntelligentSessionError } from '../errors/errors.js';
import { shown } from '../errors/warnings.js';
import { FAILED_COMMAND, NO_COMBO, NO_COMMAND } from '../intelligence/command/answers.js';
import { builtIn } from '../intelligence/commands.js';

/** Makes the asker's error of the text that a worker, or the embedded executor, has given in the place of an answer. */
export function commandFault(command: string, payload: string, errorText: string): IntelligentSessionError {
  const text = errorText.replace(/ \(ERR_[^)]*\)$/, '').slice(0, 300);
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_COMMAND', messageOf(command, payload, text));
}

/** Does this text say that the command, or the combo, is not known where it was to be carried out? */
export const isUnknown = (errorText: string): boolean =>
  errorText.startsWith(NO_COMMAND) || errorText.startsWith(NO_COMBO);

function messageOf(command: string, payload: string, text: string): string {
  if (text === NO_COMMAND)
    return `There is no command ${shown(command)}: neither built in nor in the option "commands"`;
  if (text === NO_COMBO)
    return `combo(${shown(payload)}): neither the option "combos" nor the worker has a combo of that name`;
  if (builtIn.has(command)) return `"${command}" was not answered: ${text}`;
  const why = text === FAILED_COMMAND ? "the worker's log, or its event 'fault', says why" : text;
  return `The application's command ${shown(command)} failed in the worker: ${why}`;
}
