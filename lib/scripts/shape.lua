-- Gives the shape of a namespace's stored data, which is the first process' that asks: it is made where there is none.
-- KEYS  the shape, a hash
-- ARGV  what tells the item key, or ''; the version; then the asking process' shape, name and value by turns
-- Reply the hash, name and value by turns
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'version', unpack(ARGV, 2)) end
-- a worker may have no secret of its own: the first that has one says it
local mine = ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'version') == ARGV[2]
if mine and not redis.call('HGET', KEYS[1], 'itemKey') then redis.call('HSET', KEYS[1], 'itemKey', ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
