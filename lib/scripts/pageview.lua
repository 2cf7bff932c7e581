-- Counts one page view and reads what there is to know, in one atomic step (white paper, "Activity Pattern Monitoring").
-- The Bloom filter's functions stand before this text.
-- KEYS  views, pages, visited, activity, notified
-- ARGV  page as bloom_add takes it; page; ttl in ms; mark of the request (6 bytes, or ''); days kept
-- Reply { totalPages, uniquePages, previouslyVisited, activityThisMinute, five minutes before, oldest first },
--       or {} where this request was counted before
local HEAD, MARKS, DAY = 200, 192, 180
local slots = tonumber(ARGV[5]) + 1

-- everything is read before the first write: a key of another type leaves all as it was
local head = redis.call('GETRANGE', KEYS[4], 0, HEAD - 1)
local length = redis.call('STRLEN', KEYS[4])
if length > 0 and (length < HEAD or (length - HEAD) % DAY ~= 0) then
  return redis.error_reply('WRONGTYPE the activity is damaged')
end
local mark = ARGV[4]
if mark ~= '' and length > 0 then
  local at = head:find(mark, 9, true)
  while at do
    if (at - 9) % 6 == 0 then return {} end
    at = head:find(mark, at + 1, true)
  end
end
local views = redis.call('GET', KEYS[1])
if views and not views:match('^%d+$') then return redis.error_reply('WRONGTYPE the counter is not a number') end
redis.call('PFCOUNT', KEYS[2])

local fresh = bloom_add(KEYS[3], ARGV[1])
local total = redis.call('INCR', KEYS[1])
redis.call('PFADD', KEYS[2], ARGV[2])
local unique = redis.call('PFCOUNT', KEYS[2])

local minute = math.floor(tonumber(redis.call('TIME')[1]) / 60)
local today = math.floor(minute / 1440)
local first, last, marks
if length > 0 then
  first, last = struct.unpack('<I4I4', head)
  marks = head:sub(9)
else
  first, last, marks = today, today, string.rep('\0', MARKS)
end
if mark ~= '' then marks = mark .. marks:sub(1, MARKS - 6) end
local gone = length == 0 or today - last >= slots or today < first
if gone then
  redis.call('SET', KEYS[4], struct.pack('<I4I4', today, today) .. marks .. string.rep('\0', DAY))
  first = today
else
  if today > last then
    for day = last + 1, today do
      local at = HEAD + ((day - first) % slots) * DAY
      if at < length then
        redis.call('SETRANGE', KEYS[4], at, string.rep('\0', DAY))
      else -- written at its exact size: a string that grows by SETRANGE takes up to twice as much
        redis.call('SET', KEYS[4], redis.call('GET', KEYS[4]) .. string.rep('\0', DAY), 'KEEPTTL')
        length = length + DAY
      end
    end
    last = today
  end
  redis.call('SETRANGE', KEYS[4], 0, struct.pack('<I4I4', first, last) .. marks)
end

local words = { 'BITFIELD', KEYS[4] }
for ago = 5, 0, -1 do
  local then_ = minute - ago
  local day = math.floor(then_ / 1440)
  local at = (HEAD + ((day - first) % slots) * DAY) * 8 + then_ % 1440
  -- a minute before the first day is in no slot: offset 0 of a day that is not there
  if day < first then at = (HEAD + slots * DAY) * 8 end
  local n = #words
  words[n + 1], words[n + 2], words[n + 3] = ago == 0 and 'SET' or 'GET', 'u1', at
  if ago == 0 then words[n + 4] = 1 end
end
local bits = redis.call(unpack(words))

for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
return { total, unique, 1 - fresh, bits[6], bits[1], bits[2], bits[3], bits[4], bits[5] }
