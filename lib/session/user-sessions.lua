-- Notes a session as one of its user's, and removes the notes of sessions that have ended.
-- A note of another version stays as it is. In every version its field is the session's id, so destroyAllOf() finds the session.
-- KEYS  the user's sessions: a hash of session id to "1:<last seen>:<end>", both ms since 1970; an end of 0 is none; 1 is the version.
--       In a Cluster also the list of endings (end-user-sessions.lua)
-- ARGV  session id; ttl in ms, 0: none
-- Reply a list of session id and last seen, by turns; the list of endings; the time, µs since 1970; 1 if there are notes of another
--       version, else 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[2])
local function ms(n) return string.format('%.0f', n) end

local reply, newer, keeps_note = {}, 0, false
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local seen, ends = all[i + 1]:match('^1:(%d+):(%d+)$')
  if not ends then
    newer = 1
    keeps_note = keeps_note or all[i] == ARGV[1]
  elseif ends ~= '0' and tonumber(ends) < now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    reply[#reply + 1] = all[i]
    reply[#reply + 1] = seen
  end
end
if not keeps_note then redis.call('HSET', KEYS[1], ARGV[1], '1:' .. ms(now) .. ':' .. (ttl == 0 and '0' or ms(now + ttl))) end
reply[#reply + 1] = ARGV[1]
reply[#reply + 1] = ms(now)

local left = redis.call('PTTL', KEYS[1])
if ttl == 0 then
  redis.call('PERSIST', KEYS[1])
elseif (#reply == 2 and newer == 0) or (left >= 0 and left < ttl) then -- 2: no other note. Those of a later version end nobody knows when
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local ended = KEYS[2] and redis.call('LRANGE', KEYS[2], 0, -1) or {}
return { reply, ended, ms(time[1] * 1000000 + time[2]), newer }
