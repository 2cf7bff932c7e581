-- Publishes a notification: adds it to its list, which has each id once. What has expired is removed, and of what is visible the oldest
-- beyond the bound. A list's field ':' is `1 <last>`: its version, and the latest position of what was visible when something was last
-- published or made unread again.
-- All other fields are notifications, by id: `<position> <expires> <flags> <JSON>`, the flag e where the publisher gave the expiry. A
-- position is when a notification is to be seen; no two of a list have the same one. Positions and times are µs since 1970.
-- KEYS  the list, a hash
-- ARGV  the notification's id; its JSON; when it becomes visible, 0 for at once; when it expires, 0 where the publisher has not said; how
--       long notifications are kept, µs; how many the list may have of visible ones, and again of scheduled ones; the channel of the list's
--       changes; the id as JSON
-- Reply 1 published (or over before that), 2 scheduled, 0 the list had it already, -1 too many are scheduled, -2 the list has another form; its position,
--       0 where it was refused; the error of PUBLISH, or ''
-- Lua's unpack() takes some 8,000 values at most
local UNPACK_FIELDS = 1000
local key, id, json, channel = KEYS[1], ARGV[1], ARGV[2], ARGV[7]
local publishAt, expires, keptFor, bound = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local text = function(number) return string.format('%.0f', number) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.call('HMGET', key, ':', id)
local last = 0
if stored[1] then
  last = tonumber(string.match(stored[1], '^1 (%d+)$'))
  if not last then return { -2, '0', '' } end
end
if stored[2] then
  local position, ends = string.match(stored[2], '^(%d+) (%d+) ')
  if not position then return { -2, '0', '' } end
  if tonumber(ends) > now then return { 0, position, '' } end
end

-- one pass over the list: which positions are taken, what is visible, what has expired
local taken, visible, removed, scheduled = {}, {}, {}, 0
local visibleUntil = math.max(now, last)
local newest = last
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local position, ends = string.match(fields[i + 1], '^(%d+) (%d+) ')
  position = fields[i] ~= ':' and tonumber(position)
  if position and position <= visibleUntil then newest = math.max(newest, position) end
  if fields[i] ~= id and position then
    if tonumber(ends) <= now then
      removed[#removed + 1] = fields[i]
    else
      taken[position] = true
      if position > visibleUntil then scheduled = scheduled + 1 else visible[#visible + 1] = { position, fields[i] } end
    end
  end
end

local isLater = publishAt > visibleUntil
-- what was scheduled and has become visible counts, too
last = newest
local position = isLater and publishAt or math.max(last + 1, now)
while taken[position] do position = position + 1 end
if isLater then
  if scheduled >= bound then return { -1, '0', '' } end
else
  last = position
end
local flags = expires == 0 and '-' or 'e'
local ends = position + keptFor
if expires > 0 then ends = math.min(ends, expires) end
-- by this clock it is over already, as when it was long on its way: nobody sees it, and no other one goes for it
if ends <= now then return { 1, text(position), '' } end

table.sort(visible, function(one, other) return one[1] < other[1] end)
for i = 1, #visible + (isLater and 0 or 1) - bound do removed[#removed + 1] = visible[i][2] end

redis.call('HSET', key, ':', '1 ' .. text(last), id, text(position) .. ' ' .. text(ends) .. ' ' .. flags .. ' ' .. json)
for i = 1, #removed, UNPACK_FIELDS do
  redis.call('HDEL', key, unpack(removed, i, math.min(i + UNPACK_FIELDS - 1, #removed)))
end
-- the list outlives its notifications, also those that end sooner, so that a later publication finds `last`; its expiry is set a sixteenth later than needed, so that most publications need not renew it
local neededMs = math.ceil((position + keptFor - now) / 1000)
if redis.call('PTTL', key) < neededMs then redis.call('PEXPIRE', key, text(neededMs + math.floor(neededMs / 16))) end
-- the change is published last: only an ACL can refuse that, and then what was written stays
local kind = isLater and 'scheduled' or 'published'
local message = '{"type":"' .. kind .. '","id":' .. ARGV[8] .. ',"position":' .. text(position) .. '}'
local told = redis.pcall('PUBLISH', channel, message)
return { isLater and 2 or 1, text(position), type(told) == 'table' and told.err or '' }
