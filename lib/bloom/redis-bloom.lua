-- bloom_check, bloom_add and bloom_which on RedisBloom. ERROR_RATE, CAPACITY, EXPANSION, NON_SCALING and
-- MOST_ITEMS stand before.
-- A key of another type is an error: BF.MEXISTS alone would answer 0.
-- Gives how many items are there, or false where there is no key.
local function bloom_check(key)
  local items = redis.pcall('BF.CARD', key) -- since RedisBloom 2.4.4
  if type(items) == 'number' and items > 0 then return items end
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  if kind == 'MBbloom--' then return type(items) == 'number' and items or redis.call('BF.INFO', key)[8] end
  if kind == 'string' and redis.call('GETRANGE', key, 0, 6) == 'ISBLOOM' then error('WRONGTYPE OTHERFORM fallback') end
  error('WRONGTYPE not a Bloom filter but a ' .. kind)
end

local bloom_refused = 0 -- items that a full filter did not take

-- 1 if the item was not there; `there`: what bloom_check() said, if it was asked. An item that was not there is not taken
-- by a filter that has MOST_ITEMS.
local function bloom_add(key, item, there)
  if there == nil then there = bloom_check(key) end
  if there then
    if there < MOST_ITEMS then return redis.call('BF.ADD', key, item) end
    if redis.call('BF.EXISTS', key, item) == 1 then return 0 end
    bloom_refused = bloom_refused + 1
    return 1
  end
  local shape = { 'BF.RESERVE', key, ERROR_RATE, CAPACITY, NON_SCALING and 'NONSCALING' or 'EXPANSION' }
  if not NON_SCALING then shape[6] = EXPANSION end
  redis.call(unpack(shape))
  return redis.call('BF.ADD', key, item)
end

-- which of the items may be there: 0 or 1 for each; how many were looked up, fewer where that costs more than `room`
-- (some 1 µs each); what it cost
local function bloom_which(key, items, room)
  local reply, there, many = {}, bloom_check(key), #items
  if room then many = math.min(many, math.max(0, math.floor(room / 2))) end
  for i = 1, many, 4000 do -- Lua's unpack takes some 8,000
    local last = math.min(many, i + 3999)
    local part = there and redis.call('BF.MEXISTS', key, unpack(items, i, last))
    for j = i, last do reply[j] = part and part[j - i + 1] or 0 end
  end
  return reply, many, 2 * many
end

-- { ttl in ms, chunks... }, at one moment
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
    if bytes > 536000000 then error('ERR TOOBIG') end
  until cursor == 0
  return reply
end

-- KEYS target, then others; ARGV ttl in ms or '', the digest that each key should have or '', then cursor and chunk by turns
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
