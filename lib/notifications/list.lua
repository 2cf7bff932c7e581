-- Reads a list of notifications, and the time by which it is read.
-- KEYS  the list, a hash
-- Reply the time, µs; then field and value by turns
local time = redis.call('TIME')
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, string.format('%.0f', time[1] * 1000000 + time[2]))
return reply
