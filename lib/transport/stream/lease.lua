-- Takes or renews the lease of a partition, or gives it back.
-- KEYS  the lease
-- ARGV  the worker's id; how long the lease lasts, ms, or 0 to give it back
-- Reply Redis' clock (TIME) if the worker now has the lease, else nothing
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('TIME')
