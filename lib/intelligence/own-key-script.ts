import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { CommandContext } from './command/descriptor.js';

/** The functions on these keys, which other scripts use as well. */
export const OWN_KEYS_LUA = 'lib/intelligence/own-keys/own-keys.lua';

/** A script on the keys of an application's commands: files of this folder, behind the prelude. Its first argument is JSON. */
export const ownKeyScript = <Reply>(
  { messageAgeMs }: Pick<CommandContext, 'messageAgeMs'>,
  ...files: readonly string[]
): Script<Reply> =>
  new Script(
    [
      `local MESSAGE_AGE_MS = ${messageAgeMs}`,
      loadScript('lib/intelligence/script/prelude.lua'),
      loadScript(OWN_KEYS_LUA),
      ...files.map((file) => loadScript(`lib/intelligence/own-keys/${file}.lua`)),
    ].join('\n'),
    1,
    true,
  );
