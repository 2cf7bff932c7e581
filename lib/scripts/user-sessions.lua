-- Notes a session as one of its user's, until it expires; forgets those that have expired.
-- KEYS  the user's sessions: a sorted set by the time of expiry in ms
-- ARGV  session id; ttl in ms, 0: none
-- Reply how many there are
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if ttl == 0 then
  redis.call('ZADD', KEYS[1], '+inf', ARGV[1])
  redis.call('PERSIST', KEYS[1])
else
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), ARGV[1])
  local left = redis.call('PTTL', KEYS[1])
  local first = redis.call('ZCARD', KEYS[1]) == 1
  if first or (left >= 0 and left < ttl) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return redis.call('ZCARD', KEYS[1])
