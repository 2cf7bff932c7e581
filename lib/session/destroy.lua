-- Ends a session, and leaves a tombstone for a while: a save that got no answer is not made again over it.
-- KEYS  the session; its tombstone
-- ARGV  how long the tombstone stays, ms; 1 if the value is wanted
-- Reply the value that was there, or nil; or how many there were, 0 or 1
redis.pcall('SET', KEYS[2], '', 'PX', ARGV[1]) -- a Redis without memory left still logs out
if ARGV[2] == '1' then return redis.call('GETDEL', KEYS[1]) end
return redis.call('UNLINK', KEYS[1])
