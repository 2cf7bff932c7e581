-- What is known of a session's views, and the time: the minutes are read from it outside Redis, since Lua takes its time for bits.
-- KEYS  activity
-- Reply Redis' clock in seconds; the string, or nothing
return { redis.call('TIME')[1], redis.call('GET', KEYS[1]) }
