-- Functions that merge the keys which an application's commands keep of an anonymous visitor into those of the user as whom the visitor has
-- logged in: carry.lua and take-over.lua call merge_all(). The script has prelude.lua, own-keys.lua and kept-with.lua before these lines.

-- Gives a function that stores the union of two keys at the second one, whose expiry the command takes away: it is set again.
local function union_of(command, how)
  return function(from, to)
    local left = redis.call('PTTL', to)
    if how then redis.call(command, to, 2, to, from, 'AGGREGATE', how) else redis.call(command, to, to, from) end
    if left > 0 then redis.call('PEXPIRE', to, left) end
  end
end

-- Gives a function that calls act(to, field, value) for each field of a hash.
local function each_field(act)
  return function(from, to)
    local fields = redis.call('HGETALL', from)
    for i = 1, #fields, 2 do act(to, fields[i], fields[i + 1]) end
  end
end

-- Is the reply the number that INCRBY or HINCRBY gives, and no error?
local function is_done(reply) return type(reply) == 'number' end

-- Gives the sum of numbers that are no integers to INCRBY; nil where one is no number. Redis 6.2 crashes where a script calls
-- HINCRBYFLOAT.
local function sum_of(one, other)
  one, other = tonumber(one), tonumber(other)
  return one and other and ('%.17g'):format(one + other)
end

-- MERGES[way][type] merges the key `from` into `to`, both of that type; other ways need no function (merge_own). What is no
-- number is not added: the user's value stays.
local MERGES = {
  union = {
    set = union_of('SUNIONSTORE'),
    zset = union_of('ZUNIONSTORE', 'MAX'),
    hyperloglog = function(from, to) redis.call('PFMERGE', to, from) end,
    hash = each_field(function(to, field, value) redis.call('HSETNX', to, field, value) end),
  },
  sum = {
    string = function(from, to)
      local number = redis.call('GETRANGE', from, 0, 63) -- no number is longer: a long string is not read as a whole
      if is_done(redis.pcall('INCRBY', to, number)) then return end
      local sum = sum_of(redis.call('GETRANGE', to, 0, 63), number)
      if sum then redis.call('SET', to, sum, 'KEEPTTL') end
    end,
    zset = union_of('ZUNIONSTORE', 'SUM'),
    hash = each_field(function(to, field, value)
      if redis.call('HSETNX', to, field, value) == 1 or is_done(redis.pcall('HINCRBY', to, field, value)) then return end
      local sum = sum_of(redis.call('HGET', to, field), value)
      if sum then redis.call('HSET', to, field, sum) end
    end),
  },
}

-- Merges one key, and removes the visitor's. Where keys of their types can't be merged, the user's stays as it is, and both
-- types are given.
local function merge_own(merge, from, to)
  local from_type = type_of(from)
  if from_type == 'none' then return nil end
  local to_type = merge ~= 'drop' and type_of(to)
  local types
  if to_type and (to_type == 'none' or merge == 'replace') then
    redis.call('RENAME', from, to)
    return nil
  elseif to_type and merge ~= 'keep' then
    local merge_keys = from_type == to_type and (MERGES[merge] or {})[from_type]
    if merge_keys then merge_keys(from, to) else types = from_type .. ' and ' .. to_type end
  end
  redis.call('UNLINK', from)
  return types
end

-- Merges several keys into a user's. Takes the user's keys `own` and `activity`; the names, and how each is merged; a function that
-- gives the visitor's key of a name; the ttl of the user's data in ms, or of the visitor's. Gives a list of texts: each name that could not be
-- merged, and why.
local function merge_all(own, activity, names, merges, from_key, ttl)
  local faults, fields = {}, {}
  for i, name in ipairs(names) do
    local types = merge_own(merges[i], from_key(name), own .. ':' .. name)
    if types then faults[#faults + 1] = name .. ' (' .. merges[i] .. ', ' .. types .. ')' end
    fields[#fields + 1], fields[#fields + 2] = name, merges[i]
  end
  redis.call('HSET', own, unpack(fields))
  local keep_ms = kept_with(own, activity, ttl)
  keep_own(own, keep_ms, keep_ms)
  return faults
end
