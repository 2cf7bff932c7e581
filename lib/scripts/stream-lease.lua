-- Takes or renews the lease of a partition, or gives it back.
-- KEYS  the lease
-- ARGV  worker; ms, 0 gives it back
-- Reply 1 if it is this worker's, else 0
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
