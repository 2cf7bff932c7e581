-- Functions on the keys that an application's own commands keep of a subject. The subject's hash `own` has their names, and how a login merges
-- each; the key of a name is the hash's key, a colon and the name.

-- Gives the names in the hash `own`; none where that key is no hash.
local function own_names(own)
  local names = redis.pcall('HKEYS', own)
  return names.err and {} or names
end

-- Renews the expiry of the hash `own` and of all keys that it names: each key that would live for less than `least` ms, or has no expiry, lives
-- for `ms` from now on.
local function keep_own(own, least, ms)
  local names = own_names(own)
  if #names == 0 then return end
  local function keep(key)
    local left = redis.call('PTTL', key)
    if left == -1 or (left >= 0 and left < least) then redis.call('PEXPIRE', key, ms) end
  end
  keep(own)
  for _, name in ipairs(names) do keep(own .. ':' .. name) end
end

-- Gives what Redis calls the type of a key, or 'hyperloglog' where it is a string that begins as one.
local function type_of(key)
  local name = redis.call('TYPE', key).ok
  if name == 'string' and redis.call('GETRANGE', key, 0, 3) == 'HYLL' then return 'hyperloglog' end
  return name
end
