-- bloom_add and bloom_exists on RedisBloom. ERROR_RATE, CAPACITY and EXPANSION stand before this text.
-- A key of another type is an error: BF.EXISTS alone would answer 0.
local function bloom_check(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  if kind == 'MBbloom--' then return true end
  error('WRONGTYPE not a RedisBloom filter: ' .. (kind == 'string' and 'a plain one, or a string' or kind))
end

-- 1 if the item was not there
local function bloom_add(key, item)
  if bloom_check(key) then return redis.call('BF.ADD', key, item) end
  return redis.call('BF.INSERT', key, 'CAPACITY', CAPACITY, 'ERROR', ERROR_RATE, 'EXPANSION', EXPANSION, 'ITEMS', item)[1]
end

-- 1 if the item may be there
local function bloom_exists(key, item)
  return redis.call('BF.EXISTS', key, item)
end
