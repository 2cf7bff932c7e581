-- Works on messages, in their order: each whole or not at all, and none harmed by another's fault. What they answer is pushed
-- here, one RPUSH a list. Before this text stand push-answers.lua, the Bloom filter's functions, `commands` and how many keys each takes.
-- KEYS  of each message its command's keys; then the lists: streams, and where answers go
-- ARGV  consumer group (of a stream; or ''); how many keys stand before the lists;
--       of each message: command; ttl of its session in ms; where its answer goes, the number of a list, 0 (nobody waits)
--       -1 (back to the caller: in a Cluster the list is another node's) or -2 (the same, of a call that is sent again); what stands before the answer, or '' for the
--       answer alone; with a group: its stream, the number of a list, and the entry's id ('': taken off before); how many
--       arguments; the arguments
-- Reply by turns: a message's number, from 1; 'again' (counted before), 'gone' (its session was
-- destroyed), 'answer', 'error', 'part' (of a list: how many items, a space and their text) or 'held' (it comes after such a
-- list of its session, and was not worked on); the text; or 0, 'unpushed' and why; or 0, 'refused' and how many items full
-- Bloom filters did not take
local reply, lists, order = {}, {}, {}
local group, before = ARGV[1], tonumber(ARGV[2])
local k, a, m = 1, 3, 0
local cut -- sessions that have a list which is not finished
local function session_of(key) return key:match('{.-}') or key end

local function tell(kind, text)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = m, kind, text
end

local function send(target, text)
  if target < 0 then tell('answer', text) return end
  local list = lists[target]
  if not list then
    list = { ttl = 5000 }
    lists[target] = list
    order[#order + 1] = target
  end
  list[#list + 1] = text
  return list
end

while a <= #ARGV do
  m = m + 1
  local name, ttl, target, head = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), ARGV[a + 3]
  a = a + 4
  local stream, entry = 0, ''
  if group ~= '' then
    stream, entry = tonumber(ARGV[a]), ARGV[a + 1]
    a = a + 2
  end
  local n = tonumber(ARGV[a])
  a = a + 1
  if cut and cut[session_of(KEYS[k])] then
    tell('held', '')
  -- whoever takes it off the group's list works on it: nobody else has, or will
  elseif entry == '' or redis.call('XACK', KEYS[before + stream], group, entry) == 1 then
    local done, data = pcall(commands[name], k, a, n, ttl, target ~= 0, target == -2)
    if data == GONE then
      tell('gone', '')
      data = 'null'
    end
    if not done then
      tell('error', type(data) == 'table' and data.err or tostring(data))
      if target ~= 0 and head ~= '' then send(target, head .. '"error":"The command failed"}') end
    elseif data == PART then
      tell('part', part_items .. ' ' .. part_text)
      cut = cut or {}
      cut[session_of(KEYS[k])] = true
    elseif data == AGAIN then
      tell('again', '')
    elseif data and target ~= 0 then
      local list = send(target, head == '' and data or head .. '"data":' .. data .. '}')
      if list and head == '' then list.ttl = 500 end
    end
  else
    tell('again', '')
  end
  k = k + keys_of[name]
  a = a + n
end

for i = 1, #order do
  local list = lists[order[i]]
  local wrong = push_answers(KEYS[before + order[i]], list.ttl, list)
  if wrong then -- who waits for it goes without, what was done is done
    m = 0
    tell('unpushed', wrong)
  end
end
if bloom_refused > 0 then
  m = 0
  tell('refused', tostring(bloom_refused))
end
return reply
