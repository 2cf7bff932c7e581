-- The ending of a worker's script on one Redis: an entry of a stream is acknowledged where it is worked on, and answers are
-- pushed here, one RPUSH a list. Before it stand push-answers.lua and GROUP, the streams' consumer group.
-- A message says besides: list, where its answer goes, a number of KEYS; head, what stands before the answer, none for the
-- answer alone; of a stream's: stream, a number of KEYS, and entry, its id (none where it was acknowledged before).
-- Notes: { 'unpushed', why }; { 'pushed', expiry, how many were there before, how many are new, their bytes, and the list's key }
local lists, order = {}, {}

-- Whoever takes an entry off the group's list works on it: nobody else has, or will.
local function take(message)
  return not message.entry or redis.call('XACK', KEYS[message.stream], GROUP, message.entry) == 1
end

local function push(message, text)
  local list = lists[message.list]
  if not list then
    list = { ttl = message.head and 5000 or 500 }
    lists[message.list] = list
    order[#order + 1] = message.list
  end
  list[#list + 1] = text
end

local function deliver(message, answer)
  if message.list then push(message, message.head and message.head .. '"data":' .. answer .. '}' or answer) end
  return ''
end

local function refuse(message)
  if message.head then push(message, message.head .. '"error":"The command failed"}') end
end

local function finish(note)
  for i = 1, #order do
    local list = lists[order[i]]
    local key = KEYS[order[i]]
    local wrong, before = push_answers(key, list.ttl, list)
    if wrong then
      note('unpushed', wrong) -- who waits for it goes without, what was done is done
    else
      local bytes = 0
      for j = 1, #list do bytes = bytes + #list[j] end
      note('pushed', ('%d %d %d %d %s'):format(list.ttl, before, #list, bytes, key))
    end
  end
end
