-- Ends a session, and leaves a tombstone for a while: a save that got no answer is not made again over it.
-- KEYS  the session; its tombstone
-- ARGV  how long the tombstone stays, ms; 1 if the value is wanted, 2 if also where the session went
-- Reply the value that was there, or nil; or how many there were, 0 or 1; of one that went to another id, a list with where
local went = ARGV[2] == '2' and redis.call('GET', KEYS[2])
redis.pcall('SET', KEYS[2], '', 'PX', ARGV[1]) -- a Redis without memory left still logs out
if ARGV[2] == '1' then return redis.call('GETDEL', KEYS[1]) end
local value = ARGV[2] == '2' and redis.call('GET', KEYS[1])
local found = redis.call('UNLINK', KEYS[1])
if ARGV[2] ~= '2' then return found end
if not value and went and went ~= '' then return { went } end
return value
