-- Reads what somebody has read of notifications, and their own list, and lets the first live as long as its subject.
-- KEYS  of one subject: seen, inbox, gone
-- ARGV  how long what is kept of the subject lives from now on, in ms, 0 where that is not to be said; the field of `seen` in which the
--       time of the first question is noted, '' for none
-- Reply the time, µs; '' or what stands in the subject's place since it has ended: 'gone', or a user's subject; then, as field and value by
--       turns, seen, and the own list
local seen, inbox, gone, keepMs, since = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local ended = redis.call('GET', gone)
if ended then return { now, ended == '' and 'gone' or ended, {}, {} } end

local left = redis.call('PTTL', seen)
if keepMs > 0 then
  if since ~= '' and redis.call('HSETNX', seen, since, now) == 1 then left = math.max(left, -1) end
  -- renewed by a sixteenth more, so that most questions leave it alone
  if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
end
return { now, '', redis.call('HGETALL', seen), redis.call('HGETALL', inbox) }
