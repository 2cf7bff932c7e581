-- Removes from a partition what every consumer group has read and finished, and consumers that are gone and have nothing
-- pending.
-- KEYS  stream
-- ARGV  group; the messages' maximum age in ms, for which the stream is kept from now on; then the consumers that are there
-- Reply how many entries were removed; how many are left; 1 if the stream was made anew, what was left in it is gone then
local there, least = {}, nil
for i = 3, #ARGV do there[ARGV[i]] = true end
redis.call('PEXPIRE', KEYS[1], ARGV[2])

-- The highest id is used up by a single XADD that names it, and nobody can add anything after that; no clock comes near it.
local last
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
if #last:match('^%d+') > 15 then
  local left = redis.call('XLEN', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], 0) -- removes it
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return { 0, left, 1 }
end

local function before(a, b) -- of two entries' ids
  local a1, a2 = a:match('^(%d+)-(%d+)$')
  local b1, b2 = b:match('^(%d+)-(%d+)$')
  if #a1 ~= #b1 then return #a1 < #b1 end
  if a1 ~= b1 then return a1 < b1 end
  if #a2 ~= #b2 then return #a2 < #b2 end
  return a2 < b2
end
local function after(id) -- the next one that there could be
  local ms, n = id:match('^(%d+)-(%d+)$')
  if #n > 15 then return id end -- nobody's but a forger's, and no number of Lua's: it stays until another is read
  return ms .. '-' .. ('%.0f'):format(tonumber(n) + 1)
end

for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  local keep = of.pending > 0 and redis.call('XPENDING', KEYS[1], of.name)[2] or after(of['last-delivered-id'])
  if not least or before(keep, least) then least = keep end
  if of.name == ARGV[1] then
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], of.name)) do
      local who = {}
      for i = 1, #consumer, 2 do who[consumer[i]] = consumer[i + 1] end
      if who.pending == 0 and not there[who.name] then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], of.name, who.name) end
    end
  end
end
local removed = least and redis.call('XTRIM', KEYS[1], 'MINID', least) or 0
return { removed, redis.call('XLEN', KEYS[1]), 0 }
