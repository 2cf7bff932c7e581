-- The sessions that a user has, all of which are about to be ended: in a Cluster, where a session may be stored before it is
-- noted. One that is noted later learns here that it came too late.
-- KEYS  the user's sessions (user-sessions.lua); when they were ended: a list, "1:<time, µs>:<id>:<kept session ids, JSON>"
-- ARGV  the id; the session ids that are kept, JSON; how long this is known, ms
-- Reply session ids
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('RPUSH', KEYS[2], '1:' .. at .. ':' .. ARGV[1] .. ':' .. ARGV[2])
redis.call('LTRIM', KEYS[2], -16, -1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('HKEYS', KEYS[1])
