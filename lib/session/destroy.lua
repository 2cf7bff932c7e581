-- Ends a session, and leaves a tombstone for a while: where a tombstone is, a save that got no answer is not sent again.
-- KEYS  the session; its tombstone
-- ARGV  how long the tombstone stays, ms; what to reply: 0 the number of sessions, 1 the value, 2 the value or the new id
-- Reply how many sessions were ended, 0 or 1; or the value, nil where there was none; or, where only a tombstone with the session's
--       new id was left, a list with that id
local went = ARGV[2] == '2' and redis.call('GET', KEYS[2])
redis.pcall('SET', KEYS[2], '', 'PX', ARGV[1]) -- a Redis without memory left still logs out
if ARGV[2] == '1' then return redis.call('GETDEL', KEYS[1]) end
local value = ARGV[2] == '2' and redis.call('GET', KEYS[1])
local found = redis.call('UNLINK', KEYS[1])
if ARGV[2] ~= '2' then return found end
if not value and went and went ~= '' then return { went } end
return value
