-- Notes that a worker is there, or has gone, and tells who is.
-- KEYS  workers, a sorted set by when they were last seen, ms
-- ARGV  worker; for how long one who is not heard of counts as there, ms; 1 there, 0 gone
-- Reply the workers
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '1' then redis.call('ZADD', KEYS[1], now, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
-- of a clock that was ahead, before a failover: whoever is there notes itself anew
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return redis.call('ZRANGE', KEYS[1], 0, -1)
