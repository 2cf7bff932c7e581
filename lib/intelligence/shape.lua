-- Gives the shape of a namespace's stored data, which is the first process' that asks: it is made where there is none.
-- KEYS  the shape, a hash
-- ARGV  what tells the item key, or ''; the version; then the asking process' shape, name and value by turns
-- Reply the hash, name and value by turns
local stored = redis.call('HGETALL', KEYS[1])
if #stored == 0 then
  redis.call('HSET', KEYS[1], 'version', unpack(ARGV, 2))
  stored = redis.call('HGETALL', KEYS[1])
end
local values = {}
for i = 1, #stored, 2 do values[stored[i]] = stored[i + 1] end
-- a worker may have no secret of its own: the first that has one says it
if ARGV[1] ~= '' and values.version == ARGV[2] and not values.itemKey then
  redis.call('HSET', KEYS[1], 'itemKey', ARGV[1])
  stored[#stored + 1], stored[#stored + 2] = 'itemKey', ARGV[1]
end
return stored
