-- The functions bloom_check, bloom_count, bloom_add, bloom_add_all, bloom_which, bloom_dump and bloom_load on RedisBloom. A script that needs
-- them begins with these lines; fallback/bloom.lua has functions of the same names for a Redis without RedisBloom.
-- Before these lines the script defines ERROR_RATE, CAPACITY, EXPANSION and NON_SCALING, which a new filter gets, and MAX_ITEMS: how many
-- items a filter takes at most. bloom-error.ts recognizes errors by their words in capitals.
local UNPACK_ITEMS = 4000 -- Lua's unpack() takes some 8,000 values at most
local MAX_DUMP_BYTES = 536000000 -- some 512 MB, which one string of Redis can hold, so that the fallback can load each dump

-- Gives a filter's number of items, or false where there is no key. A key of another type is an error: BF.MEXISTS alone would
-- answer 0.
local function bloom_check(key)
  local items = redis.pcall('BF.CARD', key) -- since RedisBloom 2.4.4
  if type(items) == 'number' and items > 0 then return items end
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  if kind == 'MBbloom--' then return type(items) == 'number' and items or redis.call('BF.INFO', key)[8] end -- the eighth value is the number of items
  if kind == 'string' and redis.call('GETRANGE', key, 0, 6) == 'ISBLOOM' then error('WRONGTYPE OTHERFORM fallback') end
  error('WRONGTYPE not a Bloom filter but a ' .. kind)
end

-- Gives a filter's number of items, 0 where there is no key.
local function bloom_count(key) return bloom_check(key) or 0 end

local bloom_refused = 0 -- how many items full filters did not take

-- Adds an item and gives 1 if it was new, else 0. `count` is what bloom_check() gave, if it was called. A filter that has
-- MAX_ITEMS takes no new item.
local function bloom_add(key, item, count)
  if count == nil then count = bloom_check(key) end
  if count then
    if count < MAX_ITEMS then return redis.call('BF.ADD', key, item) end
    if redis.call('BF.EXISTS', key, item) == 1 then return 0 end
    bloom_refused = bloom_refused + 1
    return 1
  end
  local shape = { 'BF.RESERVE', key, ERROR_RATE, CAPACITY, NON_SCALING and 'NONSCALING' or 'EXPANSION' }
  if not NON_SCALING then shape[6] = EXPANSION end
  redis.call(unpack(shape))
  return redis.call('BF.ADD', key, item)
end

-- Adds items for which a filter of MAX_ITEMS has room, also where they are in it already; counts the others as refused.
local function bloom_add_all(key, items)
  if #items == 0 then return end
  local count = bloom_check(key)
  if not count then bloom_add(key, items[1], false) end -- makes the filter; below the item is there already
  local many = math.min(#items, math.max(0, MAX_ITEMS - (count or 0)))
  for i = 1, many, UNPACK_ITEMS do redis.call('BF.MADD', key, unpack(items, i, math.min(many, i + UNPACK_ITEMS - 1))) end
  bloom_refused = bloom_refused + #items - many
end

-- Looks items up. Gives a list of 0 (the item is surely not in the filter) and 1 (it may be); how many items were looked up, fewer
-- than all where all would cost more than `budget`; and what the look-ups cost. Costs are in units of some 1 µs, two for an item.
local function bloom_which(key, items, budget)
  local reply, count, many = {}, bloom_check(key), #items
  if budget then many = math.min(many, math.max(0, math.floor(budget / 2))) end
  for i = 1, many, UNPACK_ITEMS do
    local last = math.min(many, i + UNPACK_ITEMS - 1)
    local part = count and redis.call('BF.MEXISTS', key, unpack(items, i, last))
    for j = i, last do reply[j] = part and part[j - i + 1] or 0 end
  end
  return reply, many, 2 * many
end

-- Gives { PTTL, chunks... }. The chunks are of one moment, since nothing else runs during a script.
local function bloom_dump(key)
  local reply, cursor, bytes = { redis.call('PTTL', key) }, 0, 0
  if not bloom_check(key) then return reply end
  repeat
    local part = redis.call('BF.SCANDUMP', key, cursor)
    cursor = part[1]
    if cursor ~= 0 then
      reply[#reply + 1] = part[2]
      bytes = bytes + #part[2]
    end
    if bytes > MAX_DUMP_BYTES then error('ERR TOOBIG') end
  until cursor == 0
  return reply
end

-- Writes a filter if no key has changed since it was dumped: gives 1, or 0 if one has changed.
-- KEYS  the target, then the others that should not have changed
-- ARGV  ttl in ms, or '' for none; for each key the SHA-1 of its dump, or '' where there was no key; then iterators and chunks
--       of BF.LOADCHUNK by turns
local function bloom_load(keys, argv)
  for i = 1, #keys do
    local digest = ''
    if bloom_check(keys[i]) then
      if argv[1 + i] == '' then return 0 end
      digest = redis.sha1hex(table.concat(bloom_dump(keys[i]), '', 2))
    end
    if digest ~= argv[1 + i] then return 0 end
  end
  local before, ttl = redis.call('DUMP', keys[1]), redis.call('PTTL', keys[1])
  redis.call('DEL', keys[1])
  for i = 2 + #keys, #argv, 2 do
    local reply = redis.pcall('BF.LOADCHUNK', keys[1], argv[i], argv[i + 1])
    if reply.err then -- a script does not roll back by itself
      redis.call('DEL', keys[1])
      if before then redis.call('RESTORE', keys[1], math.max(ttl, 0), before) end
      return reply
    end
  end
  if argv[1] ~= '' then redis.call('PEXPIRE', keys[1], math.max(1, tonumber(argv[1]))) end
  return 1
end
