-- The script's main part: works on messages in their order. A message whose command raises an error does not end the others.
-- The script defines before these lines: `messages`, `commands` and `needs_all_keys` (prelude.lua); `bloom_refused`, how many
-- items full Bloom filters did not take; `bloom_failing` (bloom-faults.lua); two tables by a command's name: `load_command`, a
-- function that puts the command into `commands`, and `key_places`, which has for each name of a key its place in the message's
-- part of KEYS, counted from 0 (keys that every message gives come first); and the functions of an ending (to-caller.lua, or
-- acknowledge-and-push.lua):
--   take(message)             takes the message off its stream, if it comes from one: false where somebody else has done so
--   deliver(message, answer)  sends or keeps an answer, and gives what the reply has for the message
--   refuse(message)           the command has failed
--   finish(note)              all messages are done; `note` adds a note on the call to the reply
-- KEYS     of each message its command's keys; the ending may have more
-- ARGV[1]  messages, a JSON array: command; key, where its keys begin in KEYS; ttl of its session in ms; waits: does somebody
--          wait for the answer; again, all, isUser, sentMs (script-messages.ts); the command's arguments; what the ending needs
-- Reply    of each message its answer ('' where it has none, or where the ending has sent it), or an outcome:
--          { 'duplicate' } (somebody else has taken it off its stream, or it was counted before), { 'gone', its answer },
--          { 'moved', the user's subject }, { 'all-keys' }, { 'failed', 'bloom', 'redis' or 'version', why },
--          { 'part', items looked up, their text }, { 'not-begun' } (an earlier one of its subject ended as 'part' or
--          'all-keys'). Then notes on the call: { 'refused', items that full filters did not take }, and the ending's.
local reply = {}
-- By hash tag: the subjects of messages that are to be sent again. Later messages of these subjects are not begun, to keep
-- their order.
local unfinished, some_unfinished = {}, false
-- Gives the hash tag of a message's keys, which is its subject's. That costs a search, so it is called only where some are
-- unfinished.
local function tag_of(message)
  local key = KEYS[message.key]
  return key:match('{.-}') or key
end

-- The keys of the message that is worked on, by their names. One table serves all messages, and looks up only what a command
-- uses.
local first, places -- of this message: where its keys begin in KEYS, and the key_places of its command
local keys = setmetatable({}, { __index = function(_, name) return KEYS[first + places[name]] end })

-- Works on one message. Its command is asked whether it needs all keys before the message is taken off its stream: if then the
-- reply is lost, the message is still there, and nobody has worked on it. (The rest of a list of which a part was looked up
-- goes without its entry.)
local step -- the step that was begun last (ask, take or command), which tells where an error was raised
local function work_on(message)
  local command = message.command
  if not commands[command] then load_command[command]() end
  first, places = message.key, key_places[command]
  local needs_all = not message.all and needs_all_keys[command]
  if needs_all and needs_all(keys, message) then return nil, 'all-keys' end
  step = 'take'
  if not take(message) then return nil, 'duplicate' end
  step = 'command'
  -- gives the answer; or a text or nothing, the outcome, and the outcome's detail (prelude.lua)
  return commands[command](keys, message)
end

for n, message in ipairs(messages) do
  if some_unfinished and unfinished[tag_of(message)] then
    reply[n] = { 'not-begun' }
  else
    bloom_failing, step = false, 'ask'
    local done, answer, outcome, detail = pcall(work_on, message)
    if not done and step == 'take' then error(answer) end -- nothing can be taken off that stream: the call fails
    -- given all keys, the command itself raises this error, after take()
    if not done and step == 'ask' then done, outcome = true, 'all-keys' end
    if not done then
      -- the name of data that a later version of this package has stored
      local newer_data = type(answer) == 'table' and answer.version
      local why = newer_data or (type(answer) == 'table' and answer.err) or tostring(answer)
      reply[n] = { 'failed', newer_data and 'version' or (bloom_failing and 'bloom' or 'redis'), why }
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
      -- whoever waits for a duplicate has the first one's answer
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
