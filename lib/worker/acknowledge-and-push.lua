-- The ending of a worker's script on one Redis. It acknowledges an entry of a stream before its message is worked on, and pushes the
-- answers, one RPUSH a list. Before it stand push-answers.lua and GROUP, the streams' consumer group.
-- Each message has these fields besides: list, the number among KEYS of the list that its answer goes to (none: nobody waits); head,
-- what stands before the answer (none: the answer stands alone); where it is of a stream and not acknowledged yet, stream, a number
-- among KEYS, and entry, its id.
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
      note('unpushed', wrong) -- who waits gets no answer; what was done stays done
    else
      local bytes = 0
      for j = 1, #list do bytes = bytes + #list[j] end
      note('pushed', ('%d %d %d %d %s'):format(list.ttl, before, #list, bytes, key))
    end
  end
end
