-- Gives the shape of a namespace's stored data. Where there is none, that of the asking process is stored.
-- KEYS  the shape, a hash
-- ARGV  the version; then the asking process' shape, name and value by turns
-- Reply the hash, name and value by turns
local stored = redis.call('HGETALL', KEYS[1])
if #stored > 0 then return stored end
redis.call('HSET', KEYS[1], 'version', unpack(ARGV))
return redis.call('HGETALL', KEYS[1])
