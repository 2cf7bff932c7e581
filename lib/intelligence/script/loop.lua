-- The script's main part: works on messages in their order. A message whose command raises an error does not end the others.
-- The script defines before these lines: `messages`, `commands` and `needs_all_keys` (prelude.lua); the Bloom filter's functions, which count in
-- `bloom_refused` what full filters did not take; `bloom_failing` (bloom-faults.lua); `key_places`, by a command's name where in its message's
-- part of KEYS each key stands, counted from 0, by the key's name (the keys that it always has come first); and the functions of an ending,
-- which say what becomes of answers (to-caller.lua, or acknowledge-and-push.lua):
--   take(message)             takes the message off its stream, if it comes from one: false where somebody else has done so
--   deliver(message, answer)  sends or keeps an answer, and gives what the reply has for the message
--   refuse(message)           the command has failed
--   finish(note)              all messages are done; `note` adds a note on the call to the reply
-- KEYS     of each message its command's keys; the ending may have more
-- ARGV[1]  messages, a JSON array: command; key, where its keys begin in KEYS; ttl of its session in ms; waits: does somebody
--          wait for the answer; again, all, isUser, sentMs (script-messages.ts); the command's arguments; what the ending needs
-- Reply    of each message its answer ('' where it has none, or where the ending has sent it), or an outcome: { 'duplicate' } (take() or the command had
--          it before),
--          { 'gone', its answer }, { 'moved', the user's subject }, { 'all-keys' }, { 'failed', 'bloom', 'redis' or 'version', why }, { 'part', items looked
--          up, their text }, { 'not-begun' } (it comes after a 'part' or 'all-keys' of its session, and was not worked on).
--          Then notes on the call: { 'refused', items that full filters did not take }, and the ending's.
local reply, unfinished = {}, {}
local some_unfinished = false
-- Gives the hash tag of a message's keys, which is its subject's. It is asked for only after something unfinished, since it costs a search.
local function tag_of(message)
  local key = KEYS[message.key]
  return key:match('{.-}') or key
end

-- The keys of the message that is worked on, by their names. One table serves all messages: it looks up the keys that a command uses.
local first, places
local keys = setmetatable({}, { __index = function(_, name) return KEYS[first + places[name]] end })

-- Does the message's command need all keys of its subject? That is asked before the message is taken off its stream: if the reply is lost,
-- nobody has worked on it, and it is still there. (What is taken and goes on in a later call, as 'part', is sent without its entry.) If the
-- question fails, since a key is of another type, all keys are asked for, and then the command itself raises the error.
local function lacks_keys(message)
  local needs_all = not message.all and needs_all_keys[message.command]
  if not needs_all then return false end
  first, places = message.key, key_places[message.command]
  local done, needed = pcall(needs_all, keys, message)
  return not done or needed
end

for n, message in ipairs(messages) do
  if some_unfinished and unfinished[tag_of(message)] then
    reply[n] = { 'not-begun' }
  elseif lacks_keys(message) then
    reply[n] = { 'all-keys' }
    unfinished[tag_of(message)], some_unfinished = true, true
  elseif not take(message) then
    reply[n] = { 'duplicate' }
  else
    bloom_failing = false
    first, places = message.key, key_places[message.command]
    -- a command returns its answer; or a text or nothing, an outcome, and the outcome's detail (prelude.lua)
    local done, answer, outcome, detail = pcall(commands[message.command], keys, message)
    if not done then
      local newer = type(answer) == 'table' and answer.version -- what is stored is of a later version
      local why = newer or (type(answer) == 'table' and answer.err) or tostring(answer)
      reply[n] = { 'failed', newer and 'version' or (bloom_failing and 'bloom' or 'redis'), why }
      refuse(message)
    elseif outcome == 'part' then
      reply[n] = { outcome, detail, answer }
      unfinished[tag_of(message)], some_unfinished = true, true
    elseif outcome == 'moved' then
      reply[n] = { outcome, detail }
    elseif outcome then
      -- who waits for a duplicate got the answer from the first
      reply[n] = { outcome, outcome == 'gone' and message.waits and deliver(message, 'null') or '' }
    else
      reply[n] = answer and message.waits and deliver(message, answer) or ''
    end
  end
end

local function note(name, text) reply[#reply + 1] = { name, text } end
if bloom_refused > 0 then note('refused', bloom_refused) end
finish(note)
return reply
