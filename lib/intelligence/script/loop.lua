-- The script's main part: works on messages in their order. A message whose command raises an error does not end the others.
-- The script defines before these lines: `messages`, `commands` and `needs_all_keys` (prelude.lua); the Bloom filter's functions, which count in
-- `bloom_refused` what full filters did not take; `load_command`, by the name of a command that is not there yet a function that defines it; `bloom_failing` (bloom-faults.lua); `key_places`, by a command's name where in its message's
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

-- Works on one message. Whether its command needs all keys of its subject is asked before it is taken off its stream: if the reply is lost,
-- nobody has worked on it, and it is still there. (What is taken and goes on in a later call, as 'part', is sent without its entry.)
local step -- which of these steps an error has ended
local function work_on(message)
  local command = message.command
  if not commands[command] then load_command[command]() end
  first, places = message.key, key_places[command]
  local needs_all = not message.all and needs_all_keys[command]
  if needs_all and needs_all(keys, message) then return nil, 'all-keys' end
  step = 'take'
  if not take(message) then return nil, 'duplicate' end
  step = 'command'
  -- a command returns its answer; or a text or nothing, an outcome, and the outcome's detail (prelude.lua)
  return commands[command](keys, message)
end

for n, message in ipairs(messages) do
  if some_unfinished and unfinished[tag_of(message)] then
    reply[n] = { 'not-begun' }
  else
    bloom_failing, step = false, 'ask'
    local done, answer, outcome, detail = pcall(work_on, message)
    if not done and step == 'take' then error(answer) end -- nothing can be taken off that stream: the call fails
    if not done and step == 'ask' then done, outcome = true, 'all-keys' end -- with all keys the command itself raises the error
    if not done then
      local newer = type(answer) == 'table' and answer.version -- what is stored is of a later version
      local why = newer or (type(answer) == 'table' and answer.err) or tostring(answer)
      reply[n] = { 'failed', newer and 'version' or (bloom_failing and 'bloom' or 'redis'), why }
      refuse(message)
    elseif outcome == 'all-keys' then
      reply[n] = { outcome }
      unfinished[tag_of(message)], some_unfinished = true, true
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
