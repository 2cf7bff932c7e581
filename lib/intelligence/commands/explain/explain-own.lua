-- The function explain_own() for explain.lua. In the script own-keys.lua stands before it, with own_names() and type_of(). It
-- gives the keys of the application's commands as a JSON array: for each key its name, its type, its number of items (of a
-- string: bytes), and its contents, which are bounded: people read them.
local MAX_ITEMS = 100 -- of one key
local MAX_TEXT_BYTES = 256 -- of one text; the rest of it is left out
local MAX_ALL_BYTES = 65536 -- of all contents together: keys that come later have none in the answer

-- Gives texts as JSON, each clipped: twice MAX_ITEMS of them at most, since an item of a hash or a sorted set has two.
local function clipped(texts)
  local list = {}
  for i = 1, math.min(#texts, 2 * MAX_ITEMS) do list[i] = cjson.encode(texts[i]:sub(1, MAX_TEXT_BYTES)) end
  return list
end

-- Gives a list of JSON pairs. `texts` are a field and its value, or a member and its score, by turns.
local function pairs_of(texts)
  local list, found = {}, clipped(texts)
  for i = 1, #found - 1, 2 do list[#list + 1] = '[' .. found[i] .. ',' .. found[i + 1] .. ']' end
  return list
end

-- For each type the command that counts its items, and the function that reads its contents. A HyperLogLog has no contents to show.
local SIZES = { string = 'STRLEN', hyperloglog = 'PFCOUNT', set = 'SCARD', zset = 'ZCARD', hash = 'HLEN', list = 'LLEN' }
local VALUES = {
  string = function(key) return cjson.encode(redis.call('GETRANGE', key, 0, MAX_TEXT_BYTES - 1)) end,
  set = function(key)
    local texts = clipped(redis.call('SSCAN', key, 0, 'COUNT', MAX_ITEMS)[2])
    return '[' .. table.concat(texts, ',', 1, math.min(#texts, MAX_ITEMS)) .. ']'
  end,
  list = function(key) return '[' .. table.concat(clipped(redis.call('LRANGE', key, 0, MAX_ITEMS - 1)), ',') .. ']' end,
  hash = function(key) return '[' .. table.concat(pairs_of(redis.call('HSCAN', key, 0, 'COUNT', MAX_ITEMS)[2]), ',') .. ']' end,
  zset = function(key)
    return '[' .. table.concat(pairs_of(redis.call('ZREVRANGE', key, 0, MAX_ITEMS - 1, 'WITHSCORES')), ',') .. ']'
  end,
}

-- Gives that JSON array. `own` is the key of the hash with the names of these keys.
local function explain_own(own)
  local names, list, used_bytes = own_names(own), {}, 0
  table.sort(names)
  for _, name in ipairs(names) do
    local key = own .. ':' .. name
    local type = type_of(key)
    if SIZES[type] then
      local text = '{"name":' .. cjson.encode(name) .. ',"type":"' .. type .. '","size":' .. redis.call(SIZES[type], key)
      local value = VALUES[type] and used_bytes < MAX_ALL_BYTES and VALUES[type](key)
      if value then
        text = text .. ',"value":' .. value
        used_bytes = used_bytes + #value
      end
      list[#list + 1] = text .. '}'
    end
  end
  return '[' .. table.concat(list, ',') .. ']'
end
