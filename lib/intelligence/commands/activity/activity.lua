-- Gives the string with all that is known of a subject's page views (its format: WIRE.md, "activity"), and the time. The
-- process that called reads the minutes from the string's bits, since Lua would take too long for it, and Redis is busy
-- meanwhile.
-- KEYS  activity
-- Reply the time of Redis' clock in seconds since 1970; the string, or nothing where there is none
return { redis.call('TIME')[1], redis.call('GET', KEYS[1]) }
