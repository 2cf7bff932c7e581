-- Gives the sessions of a user, all of which are about to be ended, and notes the ending. Only in a Cluster, where a session
-- may be stored before it is noted: whoever notes it gets the list of endings (user-sessions.lua), and ends it, too.
-- KEYS  the user's sessions (user-sessions.lua); the list of endings, each "1:<time, µs>:<id>:<kept session ids, JSON>"
-- ARGV  the ending's id; the session ids that are kept, JSON; how long the list is kept, ms
-- Reply the ids of the user's sessions
local MAX_ENDINGS = 16
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('RPUSH', KEYS[2], '1:' .. at .. ':' .. ARGV[1] .. ':' .. ARGV[2])
redis.call('LTRIM', KEYS[2], -MAX_ENDINGS, -1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('HKEYS', KEYS[1])
