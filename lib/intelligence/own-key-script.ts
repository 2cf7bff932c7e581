import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

/** Lua functions on the keys of an application's commands. The built-in commands' script has them as well. */
export const OWN_KEYS_LUA = 'lib/intelligence/own-keys/own-keys.lua';

/** A script on those keys: own-keys.lua and these files of its folder, after prelude.lua. Its first argument is JSON. */
export const ownKeyScript = <Reply>(...files: readonly string[]): Script<Reply> =>
  new Script(
    [
      loadScript('lib/intelligence/script/prelude.lua'),
      loadScript(OWN_KEYS_LUA),
      ...files.map((file) => loadScript(`lib/intelligence/own-keys/${file}.lua`)),
    ].join('\n'),
  );
