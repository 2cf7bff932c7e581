-- Reads a list of notifications, and the time of Redis' clock.
-- KEYS  the list, a hash
-- Reply the time, µs since 1970; then the fields and values by turns
local time = redis.call('TIME')
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, string.format('%.0f', time[1] * 1000000 + time[2]))
return reply
