-- Reads which notifications a subject has read, and the subject's own list (inbox); renews the expiry of `seen`.
-- KEYS  seen, inbox, gone: of one subject
-- ARGV  how long the subject's data are kept from now on, ms, 0 to leave the expiry as it is; the field of `seen` in which the time of the
--       first read is noted, '' for none
-- Reply the time, µs since 1970; '', or 'gone' where the subject has ended, or the subject of the user to whom it was carried; then
--       `seen` and `inbox`, each as fields and values by turns
local seen, inbox, gone, keepMs, sinceField = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local ended = redis.call('GET', gone)
-- a number: a user's data were erased; what is read after that is kept
if ended and tonumber(ended) then ended = nil end
if ended then return { now, ended == '' and 'gone' or ended, {}, {} } end

local left = redis.call('PTTL', seen)
if keepMs > 0 then
  -- HSETNX has made the key: no expiry (-1) instead of no key (-2)
  if sinceField ~= '' and redis.call('HSETNX', seen, sinceField, now) == 1 then left = math.max(left, -1) end
  -- the expiry is set a sixteenth later than needed, so that most reads need not renew it
  if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
end
return { now, '', redis.call('HGETALL', seen), redis.call('HGETALL', inbox) }
