-- The script's main part: works on messages in their order. A message whose command raises an error does not end the others.
-- The script defines before these lines: the Bloom filter's functions; `commands` and `needs_all_keys` (prelude.lua); `key_places`, by a command's name where in
-- its message's part of KEYS each key stands, counted from 0, by the key's name; and the functions of an ending, which say what becomes of
-- answers (to-caller.lua, or acknowledge-and-push.lua):
--   take(message)             may this message be worked on?
--   deliver(message, answer)  sends or keeps an answer, and gives what the reply has for the message
--   refuse(message)           the command has failed
--   finish(note)              all messages are done; `note` adds a note on the call to the reply
-- KEYS     of each message its command's keys; the ending may have more
-- ARGV[1]  messages, a JSON array: command; key, where its keys begin in KEYS; ttl of its session in ms; waits: does somebody
--          wait for the answer; the command's arguments; what the ending needs
-- Reply    of each message its answer ('' where it has none, or where the ending has sent it), or an outcome: { 'duplicate' },
--          { 'gone', its answer }, { 'moved', the user's subject }, { 'all-keys' }, { 'failed', 'bloom', 'redis' or 'version', why }, { 'part', items looked
--          up, their text }, { 'not-begun' } (it comes after a 'part' or 'all-keys' of its session, and was not worked on).
--          Then notes on the call: { 'refused', items that full filters did not take }, and the ending's.
local reply, unfinished = {}, {}
local some_unfinished = false
local function session_of(message)
  local key = KEYS[message.key]
  return key:match('{.-}') or key
end

-- The keys of the message that is worked on, by their names. One table serves all messages: it looks up the keys that a command uses.
local first, places
local keys = setmetatable({}, { __index = function(_, name) return KEYS[first + places[name]] end })

-- Does the message's command need all keys of its subject? That is asked before the message is taken: what is taken is worked on in this call.
-- Where the keys hold something else, the command says so, with all keys.
local function lacks_keys(message)
  local needs_all = not message.all and needs_all_keys[message.command]
  if not needs_all then return false end
  first, places = message.key, key_places[message.command]
  local done, needed = pcall(needs_all, keys, message)
  return not done or needed
end

for n, message in ipairs(messages) do
  if some_unfinished and unfinished[session_of(message)] then
    reply[n] = { 'not-begun' }
  elseif lacks_keys(message) then
    reply[n] = { 'all-keys' }
    unfinished[session_of(message)], some_unfinished = true, true
  elseif not take(message) then
    reply[n] = { 'duplicate' }
  else
    bloom_failing = false
    first, places = message.key, key_places[message.command]
    local done, answer, outcome, detail = pcall(commands[message.command], keys, message)
    if not done then
      local newer = type(answer) == 'table' and answer.version
      local why = newer or (type(answer) == 'table' and answer.err) or tostring(answer)
      reply[n] = { 'failed', newer and 'version' or (bloom_failing and 'bloom' or 'redis'), why }
      refuse(message)
    elseif outcome == 'part' then
      reply[n] = { outcome, detail, answer }
      unfinished[session_of(message)], some_unfinished = true, true
    elseif outcome == 'moved' then
      reply[n] = { outcome, detail }
    elseif outcome then
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
