-- Edits a notification, if no process has changed it since ours read it. It stays read for those who have read it, unless it gets a new
-- position. publish.lua says what a list looks like. Positions and times are µs since 1970.
-- KEYS  the list, a hash
-- ARGV  the notification's id; its field as it was read; its new JSON; its expiry: '' for the one that it has, 0 for none of its own,
--       else a time; how long notifications are kept, µs; 1 if it is to be unread again; the channel of the list's changes
-- Reply 1 edited, 0 the list does not have it, or it has expired, -1 it was changed since, -2 the list has another form; then the error
--       of PUBLISH, or ''
local key, id, json, channel = KEYS[1], ARGV[1], ARGV[3], ARGV[7]
local keptFor = tonumber(ARGV[5])
local text = function(number) return string.format('%.0f', number) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.call('HMGET', key, ':', id)
if not stored[1] or not stored[2] then return { 0, '' } end
local last = tonumber(string.match(stored[1], '^1 (%d+)$'))
local position, expires, flags = string.match(stored[2], '^(%d+) (%d+) (%S+) ')
if not last or not position then return { -2, '' } end
position, expires = tonumber(position), tonumber(expires)
if expires <= now then return { 0, '' } end
if stored[2] ~= ARGV[2] then return { -1, '' } end

-- unread again: at the next free position after all visible ones. A scheduled notification is unread anyway
if ARGV[6] == '1' and position <= math.max(now, last) then
  last = math.max(last + 1, now)
  local taken = {}
  local fields = redis.call('HGETALL', key)
  for i = 2, #fields, 2 do
    local other = string.match(fields[i], '^(%d+) %d+ %S+ ')
    if other then taken[tonumber(other)] = true end
  end
  while taken[last] do last = last + 1 end
  position = last
end
if ARGV[4] ~= '' then
  expires = tonumber(ARGV[4])
  flags = expires == 0 and '-' or 'e'
end
local latest = position + keptFor
expires = flags == 'e' and math.min(expires, latest) or latest

redis.call('HSET', key, ':', '1 ' .. text(last), id, text(position) .. ' ' .. text(expires) .. ' ' .. flags .. ' ' .. json)
-- the expiry is set as in publish.lua
local neededMs = math.ceil((latest - now) / 1000)
if redis.call('PTTL', key) < neededMs then redis.call('PEXPIRE', key, text(neededMs + math.floor(neededMs / 16))) end
-- the change is published last: only an ACL can refuse that, and then what was written stays
local told = redis.pcall('PUBLISH', channel, '{"type":"changed"}')
return { 1, type(told) == 'table' and told.err or '' }
