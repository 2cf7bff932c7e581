-- bloom_add and bloom_exists on plain Redis: RedisBloom's filter, bit for bit, in one string.
-- ERROR_RATE, CAPACITY and EXPANSION stand before this text.
-- The string: "ISBLOOM1", then the header that BF.SCANDUMP gives (20 bytes and 53 a layer), then each layer's bytes.
local MAGIC = 'ISBLOOM1'
local BASE, LINK = 28, 53
local NON_SCALING = 8

-- the header as a table, or false where there is no key
local function bloom_open(key)
  local head = redis.call('GETRANGE', key, 0, BASE + 4 * LINK - 1)
  if head == '' then return false end
  if head:sub(1, 8) ~= MAGIC or #head < BASE then
    error('WRONGTYPE not a Bloom filter of the fallback')
  end
  local size, layers, options, growth = struct.unpack('<I8I4I4I4', head, 9)
  if layers < 1 or layers > 1000 then error('WRONGTYPE a damaged Bloom filter') end
  if layers > 4 then head = redis.call('GETRANGE', key, 0, BASE + layers * LINK - 1) end
  if #head < BASE + layers * LINK then error('WRONGTYPE a truncated Bloom filter') end
  local filter = { size = size, options = options, growth = growth, layers = {}, head = head }
  local at = BASE + layers * LINK
  for i = 1, layers do
    local bytes, bits, count, rate, per, hashes, entries = struct.unpack('<I8I8I8ddI4I8', head, BASE + (i - 1) * LINK + 1)
    filter.layers[i] = { at = at, bytes = bytes, bits = bits, count = count, rate = rate, hashes = hashes, entries = entries }
    at = at + bytes
  end
  filter.length = at
  if redis.call('STRLEN', key) ~= at then error('WRONGTYPE a truncated Bloom filter') end
  return filter
end

local function bloom_layer(entries, rate)
  local per = -(math.log(rate) / 0.480453013918201)
  local bytes = math.floor(entries * per)
  bytes = math.ceil(bytes / 64) * 8
  if bytes == 0 then bytes = 8 end
  if bytes > 536870000 then error('ERR a Bloom filter of the fallback has at most 512 MB') end
  local hashes = math.ceil(0.693147180559945 * per)
  return struct.pack('<I8I8I8ddI4I8', bytes, bytes * 8, 0, rate, per, hashes, entries) .. '\0', bytes
end

local function bloom_reserve(key, rate, capacity, growth, nonscaling)
  local link, bytes = bloom_layer(capacity, nonscaling and rate or rate * 0.5)
  local options = 5 + (nonscaling and NON_SCALING or 0)
  redis.call('SET', key, MAGIC .. struct.pack('<I8I4I4I4', 0, 1, options, growth) .. link .. string.rep('\0', bytes))
end

-- another layer, written at its exact size
local function bloom_grow(key, filter)
  local last = filter.layers[#filter.layers]
  local link, bytes = bloom_layer(last.entries * filter.growth, last.rate * 0.5)
  local head = MAGIC .. struct.pack('<I8I4I4I4', filter.size, #filter.layers + 1, filter.options, filter.growth)
  local data = redis.call('GETRANGE', key, filter.layers[1].at, -1)
  local links = filter.head:sub(BASE + 1, BASE + #filter.layers * LINK)
  redis.call('SET', key, head .. links .. link .. data .. string.rep('\0', bytes), 'KEEPTTL')
  return bloom_open(key)
end

-- appends BITFIELD words for one layer: (h1 + i * h2) mod 2^64 mod bits; a byte's bits are numbered from the lowest
local function bloom_words(words, layer, pair, set)
  local lo, hi, lo2, hi2 = struct.unpack('<I4I4I4I4', pair)
  local bits, base = layer.bits, layer.at * 8
  local high = 4294967296 % bits
  local wide = bits >= 67108864
  for _ = 1, layer.hashes do
    local at
    if wide then
      at = ((hi % bits) * 65536) % bits
      at = (at * 65536 + lo) % bits
    else
      at = ((hi % bits) * high + lo) % bits
    end
    at = base + at + 7 - 2 * (at % 8)
    local n = #words
    if set then
      words[n + 1], words[n + 2], words[n + 3], words[n + 4] = 'SET', 'u1', at, 1
    else
      words[n + 1], words[n + 2], words[n + 3] = 'GET', 'u1', at
    end
    lo = lo + lo2
    hi = hi + hi2
    if lo >= 4294967296 then lo = lo - 4294967296 hi = hi + 1 end
    if hi >= 4294967296 then hi = hi - 4294967296 end
  end
end

local function bloom_all(bits)
  for i = 1, #bits do
    if bits[i] == 0 then return false end
  end
  return true
end

local function bloom_in(key, layer, pair)
  local words = { 'BITFIELD', key }
  bloom_words(words, layer, pair, false)
  return bloom_all(redis.call(unpack(words)))
end

-- 1 if the item may be there
local function bloom_exists(key, pair)
  local filter = bloom_open(key)
  if not filter then return 0 end
  for i = #filter.layers, 1, -1 do
    if bloom_in(key, filter.layers[i], pair) then return 1 end
  end
  return 0
end

-- 1 if the item was not there
local function bloom_add(key, pair)
  local filter = bloom_open(key)
  if not filter then
    bloom_reserve(key, ERROR_RATE, CAPACITY, EXPANSION, false)
    filter = bloom_open(key)
  end
  for i = #filter.layers, 1, -1 do
    if bloom_in(key, filter.layers[i], pair) then return 0 end
  end
  local last = filter.layers[#filter.layers]
  if last.count >= last.entries then
    if filter.options >= NON_SCALING then error('ERR non scaling filter is full') end
    filter = bloom_grow(key, filter)
    last = filter.layers[#filter.layers]
  end
  local words = { 'BITFIELD', key }
  bloom_words(words, last, pair, true)
  redis.call(unpack(words))
  redis.call('SETRANGE', key, 8, struct.pack('<I8', filter.size + 1))
  redis.call('SETRANGE', key, BASE + (#filter.layers - 1) * LINK + 16, struct.pack('<I8', last.count + 1))
  return 1
end

-- true where there is a filter; an error where the key holds something else
local function bloom_check(key)
  return bloom_open(key) and true
end
