-- The functions bloom_check, bloom_count, bloom_add, bloom_add_all, bloom_which and bloom_load on plain Redis: RedisBloom's filter, bit for
-- bit, in a string. A script that needs them begins with these lines; lib/bloom/redis-bloom.lua has functions of the same names.
-- Before these lines the script defines ERROR_RATE, CAPACITY, EXPANSION and NON_SCALING, which a new filter gets, and MAX_ITEMS: how many
-- items a filter takes at most. bloom-error.ts recognizes errors by their words.
-- plain-bloom.ts also calls bloom_item, bloom_put and bloom_start; loop.lua reads bloom_refused. An item is a pair of hashes (bloom_item): commands
-- send it as JSON numbers, plain-bloom.ts as 16 bytes.
-- The string is "ISBLOOM1", then the header that BF.SCANDUMP gives (20 bytes, and 53 for each layer: the layer's head), and
-- then each layer's bits. lib/bloom/filter-format.ts says where each number stands.
-- One GETRANGE reads the first KB. Bits of layers beyond it are read by BITFIELD, those of all layers by one command a round.
local MAGIC = 'ISBLOOM1'
local BLOOM_HEAD_BYTES = 28 -- the magic and the part of the header before the layers
local BLOOM_LAYER_BYTES = 53 -- what the header has of each layer
local BLOOM_FIRST_READ = 1024 -- how many bytes of the string the first GETRANGE reads
local OPTIONS = 5 -- in the header, of each filter that is made here: 64-bit hashes, capacities as they were asked for
local NO_SCALING_FLAG = 8 -- is added to the options of a filter that gets no further layers
local MAX_BYTES = 536000000 -- of the whole string: as much as Redis takes (512 MB), in round figures
local MAX_LAYERS, MAX_HASHES = 1000, 1100 -- of a filter, and for an item in a layer: more are taken for damage, though the format has no bound
local LN_2, LN_2_SQUARED = 0.693147180559945, 0.480453013918201
local TWO32 = 4294967296

-- Gives the filter, or false where there is no key (or an empty string, which nothing of ours leaves there). Layer i of `n` begins at the byte at[i], and has bits[i] bits; an item sets
-- hashes[i] of them. `size` counts the items of the filter, `count` those of the newest layer, which has room for `entries` at
-- the error rate `rate`. `head` is what was read of the string from its beginning on, `length` all of its bytes; `cost` is what
-- look-ups have cost, in some 1 µs.
local function bloom_open(key)
  local head = redis.pcall('GETRANGE', key, 0, BLOOM_FIRST_READ - 1)
  if type(head) ~= 'string' then
    local kind = redis.call('TYPE', key).ok
    if kind == 'MBbloom--' then error('WRONGTYPE OTHERFORM module') end
    error('WRONGTYPE not a Bloom filter but a ' .. kind)
  end
  if head == '' then return false end
  if head:match('^ISBLOOM[2-9]') then error('WRONGTYPE NEWER') end
  if #head < BLOOM_HEAD_BYTES or head:sub(1, 8) ~= MAGIC then error('WRONGTYPE not a Bloom filter of the fallback') end
  local size, n, options, growth = struct.unpack('<I8I4I4I4', head, 9)
  if n < 1 or n > MAX_LAYERS then error('WRONGTYPE DAMAGED Bloom filter') end
  if options ~= OPTIONS and options ~= OPTIONS + NO_SCALING_FLAG then error('WRONGTYPE FOREIGN Bloom filter') end
  if options == OPTIONS and growth < 1 then error('WRONGTYPE DAMAGED Bloom filter') end
  local from = BLOOM_HEAD_BYTES + n * BLOOM_LAYER_BYTES
  local length = #head
  if length == BLOOM_FIRST_READ then
    length = redis.call('STRLEN', key)
    if from > BLOOM_FIRST_READ then head = redis.call('GETRANGE', key, 0, from - 1) end
  end
  if #head < from then error('WRONGTYPE DAMAGED Bloom filter') end
  local at, bits, hashes = {}, {}, {}
  local layer_head = BLOOM_HEAD_BYTES + 1 -- where the head of layer i begins, counted from 1
  for i = 1, n do
    local bytes, b = struct.unpack('<I8I8', head, layer_head)
    local k = struct.unpack('<I4', head, layer_head + 40)
    if b ~= bytes * 8 or b == 0 or k < 1 or k > MAX_HASHES then error('WRONGTYPE DAMAGED Bloom filter') end
    at[i], bits[i], hashes[i] = from, b, k
    from = from + bytes
    layer_head = layer_head + BLOOM_LAYER_BYTES
  end
  if length ~= from then error('WRONGTYPE DAMAGED Bloom filter') end
  local newest_head = layer_head - BLOOM_LAYER_BYTES
  local count, rate = struct.unpack('<I8d', head, newest_head + 16)
  local entries = struct.unpack('<I8', head, newest_head + 44)
  if not (rate > 0 and rate < 1) or entries < 1 then error('WRONGTYPE DAMAGED Bloom filter') end
  return {
    key = key, head = head, length = length, size = size, options = options, growth = growth, n = n,
    at = at, bits = bits, hashes = hashes, count = count, rate = rate, entries = entries, cost = 0,
  }
end

-- Gives the head of a new layer for so many entries, with the error rate `rate`, and how many bytes its bits take.
local function bloom_layer(entries, rate)
  local per_item = -(math.log(rate) / LN_2_SQUARED)
  local bytes = math.floor(entries * per_item)
  bytes = math.ceil(bytes / 64) * 8
  if bytes == 0 then bytes = 8 end
  if bytes > MAX_BYTES then error('ERR TOOBIG a Bloom filter of the fallback has at most 512 MB') end
  local hashes = math.ceil(LN_2 * per_item)
  return struct.pack('<I8I8I8ddI4I8', bytes, bytes * 8, 0, rate, per_item, hashes, entries) .. '\0', bytes
end

-- Writes the header, and zeros up to `total` bytes. A new string whose last byte is written first takes no more memory than its size.
local function bloom_write(key, head, total)
  redis.call('DEL', key)
  redis.call('SETRANGE', key, total - 1, '\0')
  redis.call('SETRANGE', key, 0, head)
end

-- Makes an empty filter. The first layer of one that grows has half the error rate, since further layers add theirs.
local function bloom_reserve(key, rate, capacity, growth, nonscaling)
  local layer_head, bytes = bloom_layer(capacity, nonscaling and rate or rate * 0.5)
  local options = OPTIONS + (nonscaling and NO_SCALING_FLAG or 0)
  local head = MAGIC .. struct.pack('<I8I4I4I4', 0, 1, options, growth) .. layer_head
  bloom_write(key, head, BLOOM_HEAD_BYTES + BLOOM_LAYER_BYTES + bytes)
end

-- Adds a layer, and gives the filter that has it.
local function bloom_grow(filter)
  local new_head, bytes = bloom_layer(filter.entries * filter.growth, filter.rate * 0.5)
  if filter.length + BLOOM_LAYER_BYTES + bytes > MAX_BYTES or filter.n >= MAX_LAYERS then error('ERR TOOBIG') end
  local key, data, ttl = filter.key, BLOOM_HEAD_BYTES + filter.n * BLOOM_LAYER_BYTES, redis.call('PTTL', filter.key)
  local layer_heads = redis.call('GETRANGE', key, BLOOM_HEAD_BYTES, data - 1)
  local bits = redis.call('GETRANGE', key, data, -1)
  local head = MAGIC .. struct.pack('<I8I4I4I4', filter.size, filter.n + 1, filter.options, filter.growth)
  bloom_write(key, head .. layer_heads .. new_head, filter.length + BLOOM_LAYER_BYTES + bytes)
  redis.call('SETRANGE', key, data + BLOOM_LAYER_BYTES, bits)
  if ttl >= 0 then redis.call('PEXPIRE', key, math.max(1, ttl)) end
  return bloom_open(key)
end

-- Bit i of an item in a layer is number (h1 + i * h2) mod 2^64 mod bits; a byte's bits are numbered from the lowest. `walk` holds the
-- low and the high half of h1 + i * h2. This function gives the bit's number, and then adds h2, which is pair[3] and pair[4],
-- to `walk`: in what follows `pair` is an item, as bloom_item() gives it.
local function bloom_step(walk, pair, bits)
  local lo, hi, b = walk[1], walk[2]
  if bits < 67108864 then -- 2^26: then the product below is less than 2^53, up to which Lua's numbers are exact
    b = ((hi % bits) * (TWO32 % bits) + lo) % bits
  else -- in two steps of 2^16
    b = ((hi % bits) * 65536) % bits
    b = (b * 65536 + lo) % bits
  end
  lo = lo + pair[3]
  hi = hi + pair[4]
  if lo >= TWO32 then lo = lo - TWO32 hi = hi + 1 end
  if hi >= TWO32 then hi = hi - TWO32 end
  walk[1], walk[2] = lo, hi
  return b
end

-- Are all of the item's bits set in layer i, whose bytes are in filter.head?
local function bloom_in(filter, i, pair)
  local walk, bits, at, head = { pair[1], pair[2] }, filter.bits[i], filter.at[i] + 1, filter.head
  for _ = 1, filter.hashes[i] do
    local b = bloom_step(walk, pair, bits)
    local low = b % 8
    if bit.band(head:byte(at + (b - low) / 8), bit.lshift(1, low)) == 0 then return false end
  end
  return true
end

-- Gives 1 if one of the layers 1 to `newest` may hold the item, else 0.
local function bloom_has(filter, pair, newest)
  local read = #filter.head -- bytes
  if read == 0 and filter.length <= BLOOM_FIRST_READ then
    filter.head = redis.call('GETRANGE', filter.key, 0, BLOOM_FIRST_READ - 1)
    read = filter.length
  end
  local open, walks = {}, {} -- the layers that may hold the item, and for each the next of its bits to read
  for i = newest, 1, -1 do
    if filter.at[i] + filter.bits[i] / 8 > read then
      open[#open + 1] = i
      walks[i] = { pair[1], pair[2] }
    elseif bloom_in(filter, i, pair) then
      return 1
    end
  end
  -- Half of a full layer's bits are set, so most layers are ruled out by few bits: read one bit of each layer, then 1, 2, 4, 8 more
  -- of those layers whose bits so far were all set.
  local asked = 0
  filter.cost = filter.cost + 2
  while #open > 0 do
    local step = asked > 1 and asked or 1
    local words, n = { 'BITFIELD', filter.key }, 2
    for _, i in ipairs(open) do
      local base = filter.at[i] * 8 + 7 -- BITFIELD counts the bits of a byte from the highest, the filter from the lowest
      for _ = asked + 1, math.min(asked + step, filter.hashes[i]) do
        local b = bloom_step(walks[i], pair, filter.bits[i])
        words[n + 1], words[n + 2], words[n + 3] = 'GET', 'u1', base + b - 2 * (b % 8)
        n = n + 3
      end
    end
    filter.cost = filter.cost + 3 + n / 3
    local set, next, still = redis.call(unpack(words)), 1, {}
    for _, i in ipairs(open) do
      local all = true
      for _ = asked + 1, math.min(asked + step, filter.hashes[i]) do
        all = all and set[next] == 1
        next = next + 1
      end
      if all then
        if asked + step >= filter.hashes[i] then return 1 end
        still[#still + 1] = i
      end
    end
    open, asked = still, asked + step
  end
  return 0
end

-- Appends to `words`, the arguments of a BITFIELD, those that set the item's bits in the newest layer.
local function bloom_mark(filter, pair, words)
  local walk, bits, base, n = { pair[1], pair[2] }, filter.bits[filter.n], filter.at[filter.n] * 8 + 7, #words
  for _ = 1, filter.hashes[filter.n] do
    local b = bloom_step(walk, pair, bits)
    words[n + 1], words[n + 2], words[n + 3], words[n + 4] = 'SET', 'u1', base + b - 2 * (b % 8), '1'
    n = n + 4
  end
  return words
end

-- An item is a list of its two hashes h1 and h2, each as two numbers of 32 bits, the low half first. This reads the four
-- numbers from 16 bytes, little-endian.
local function bloom_item(bytes) return { struct.unpack('<I4I4I4I4', bytes) } end

-- Looks items up. Gives a list of 0 (the item is surely not in the filter) and 1 (it may be); how many items were looked up, fewer
-- than all where all would cost more than `budget`; and what the look-ups cost. Costs are in units of some 1 µs.
local function bloom_which(key, items, budget)
  local reply, filter, looked_up = {}, bloom_open(key), 0
  local cost = 0
  for i = 1, #items do
    if budget and cost >= budget then break end
    looked_up = i
    reply[i] = filter and bloom_has(filter, items[i], filter.n) or 0
    cost = (filter and filter.cost or 0) + i
  end
  return reply, looked_up, cost
end

-- The arguments of a BITFIELD that writes both numbers of items, the filter's and its newest layer's. It writes the highest
-- byte first, so bswap() turns them round. Their low 32 bits are enough: 512 MB hold fewer than 2^32 items.
local function bloom_counts(filter)
  return { 'BITFIELD', filter.key, 'SET', 'i32', '64', bit.bswap(filter.size),
    'SET', 'i32', (BLOOM_HEAD_BYTES + (filter.n - 1) * BLOOM_LAYER_BYTES + 16) * 8, bit.bswap(filter.count) }
end

-- Adds an item. Gives 1 if it was new, else 0; and the filter as it then is.
local function bloom_put(filter, pair)
  local full = filter.count >= filter.entries
  -- Is the newest layer looked up before it is written? A big one is not: BITFIELD SET tells whether the bits were set. A full
  -- one has to be.
  local looks_first = full or filter.length <= BLOOM_FIRST_READ
  if bloom_has(filter, pair, looks_first and filter.n or filter.n - 1) == 1 then return 0, filter end
  if full then
    if filter.options >= NO_SCALING_FLAG then error('ERR non scaling filter is full') end
    filter = bloom_grow(filter)
  end
  if not looks_first then
    local was, all = redis.call(unpack(bloom_mark(filter, pair, { 'BITFIELD', filter.key }))), true
    for i = 1, #was do all = all and was[i] == 1 end
    if all then return 0, filter end
  end
  filter.size = filter.size + 1
  filter.count = filter.count + 1
  local words = bloom_counts(filter)
  if looks_first then bloom_mark(filter, pair, words) end
  redis.call(unpack(words))
  filter.head = '' -- the bits that were read have changed
  return 1, filter
end

-- Gives the filter, which the caller may have opened; where there is none, makes it first.
local function bloom_ready(key, filter)
  filter = filter or bloom_open(key)
  if filter then return filter end
  bloom_reserve(key, ERROR_RATE, CAPACITY, EXPANSION, NON_SCALING)
  return bloom_open(key)
end

-- Gives what bloom_add() takes as `filter`; raises an error where the key holds something else.
local bloom_check = bloom_open

-- Gives a filter's number of items, 0 where there is no key.
local function bloom_count(key)
  local filter = bloom_open(key)
  return filter and filter.size or 0
end

local bloom_refused = 0 -- how many items full filters did not take

-- Adds an item and gives 1 if it was new, else 0. `filter` is what bloom_check() gave, if it was called. A filter that has
-- MAX_ITEMS takes no new item.
local function bloom_add(key, pair, filter)
  filter = bloom_ready(key, filter)
  if filter.size < MAX_ITEMS then return (bloom_put(filter, pair)) end
  if bloom_has(filter, pair, filter.n) == 1 then return 0 end
  bloom_refused = bloom_refused + 1
  return 1
end

-- Adds items from item `i` on to the newest layer, until the layer or the filter is full, and writes the layer once. Only for a filter
-- of at most MAX_WHOLE_BYTES, which is read as a whole. Gives the number of the first item that is left.
local MAX_WHOLE_BYTES = 4096
local function bloom_put_many(filter, pairs, i)
  local n, size, count = filter.n, filter.size, filter.count
  local bits, at, hashes = filter.bits[n], filter.at[n], filter.hashes[n]
  if #filter.head < filter.length then filter.head = redis.call('GETRANGE', filter.key, 0, -1) end
  local bytes = { filter.head:byte(at + 1, at + bits / 8) }
  while i <= #pairs and count < filter.entries and size < MAX_ITEMS do
    local pair, older, is_new = pairs[i], n - 1, false
    while older > 0 and not bloom_in(filter, older, pair) do older = older - 1 end
    if older == 0 then
      local walk = { pair[1], pair[2] }
      for _ = 1, hashes do
        local b = bloom_step(walk, pair, bits)
        local low = b % 8
        local byte, mask = (b - low) / 8 + 1, bit.lshift(1, low)
        if bit.band(bytes[byte], mask) == 0 then
          bytes[byte] = bytes[byte] + mask
          is_new = true
        end
      end
    end
    if is_new then size, count = size + 1, count + 1 end
    i = i + 1
  end
  if size > filter.size then
    filter.size, filter.count = size, count
    redis.call('SETRANGE', filter.key, at, string.char(unpack(bytes)))
    redis.call(unpack(bloom_counts(filter)))
    filter.head = ''
  end
  return i
end

-- Adds items until the filter has MAX_ITEMS; counts the others as refused, without looking whether they are there.
local function bloom_add_all(key, pairs)
  if #pairs == 0 then return end
  local filter, i, _ = bloom_ready(key), 1
  while i <= #pairs do
    if filter.size >= MAX_ITEMS then
      bloom_refused = bloom_refused + #pairs - i + 1
      return
    end
    if filter.count < filter.entries and filter.length <= MAX_WHOLE_BYTES then
      i = bloom_put_many(filter, pairs, i)
    else
      _, filter = bloom_put(filter, pairs[i])
      i = i + 1
    end
  end
end

-- Gives the magic and the header of a filter that bloom_open() finds sound; false where there is no key.
local function bloom_start(key)
  local filter = bloom_open(key)
  return filter and redis.call('GETRANGE', key, 0, BLOOM_HEAD_BYTES + filter.n * BLOOM_LAYER_BYTES - 1)
end

-- Writes a filter if no key has changed since it was dumped: gives 1, or 0 if one has changed.
-- KEYS  the target, then the others that should not have changed
-- ARGV  ttl in ms, or '' for none; for each key the SHA-1 of its dump, or '' where there was no key; then all of the string
local function bloom_load(keys, argv)
  for i = 1, #keys do
    local filter, digest = bloom_open(keys[i]), ''
    if filter and argv[1 + i] == '' then return 0 end
    if filter then digest = redis.sha1hex(redis.call('GETRANGE', keys[i], #MAGIC, -1)) end
    if digest ~= argv[1 + i] then return 0 end
  end
  redis.call('SET', keys[1], argv[2 + #keys])
  if argv[1] ~= '' then redis.call('PEXPIRE', keys[1], math.max(1, tonumber(argv[1]))) end
  return 1
end
