-- Notes that a worker is there, or is gone, and gives all workers that are there.
-- KEYS  the workers: a sorted set of their ids by when each was last heard of, ms
-- ARGV  this worker's id; for how many ms one that is not heard of counts as there; 1: this one is there, 0: it is gone; how often workers say
--       so, ms
-- Reply the ids of the workers that are there
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Where this worker is late, Redis may have stood still: the others may say only after this script that they are there. So the time by which
-- this one is late does not count.
local since = now
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do if all[i] == ARGV[1] then since = math.min(now, all[i + 1] + ARGV[4]) end end
-- A Redis that is full refuses ZADD as a script's first write, and allows it after another one.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', since - ARGV[2])
-- A master's clock before a failover may have been ahead: who is there notes itself anew.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
if ARGV[3] == '1' then redis.call('ZADD', KEYS[1], now, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 5)
return redis.call('ZRANGE', KEYS[1], 0, -1)
