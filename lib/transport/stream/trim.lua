-- Removes from a partition what every consumer group has read and finished, and this group's consumers that are gone and have
-- nothing pending.
-- KEYS  stream
-- ARGV  group; the messages' maximum age in ms, for which the stream is kept from now on; the worker that has the partition; then the workers
--       that are there
-- Reply how many entries were removed; how many are left; 0; 1 if something is pending for other workers, else 0. If the stream was made anew:
--       0; how many the old one had; 1; 0
local is_there = {}
for i = 4, #ARGV do is_there[ARGV[i]] = true end
redis.call('PEXPIRE', KEYS[1], ARGV[2])

-- After a single XADD that names the highest id nobody can add anything. An id begins with ms since 1970, which have 13 digits
-- today: one of more than 15 digits was forged, and the stream is made anew.
local last
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
if #last:match('^%d+') > 15 then
  local left = redis.call('XLEN', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], 0) -- removes it, by a right that is needed above anyway
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return { 0, left, 1, 0 }
end

-- Is the entry id a smaller than b? Compared as text, since Lua's numbers are exact up to 15 digits only.
local function before(a, b)
  local a1, a2 = a:match('^(%d+)-(%d+)$')
  local b1, b2 = b:match('^(%d+)-(%d+)$')
  if #a1 ~= #b1 then return #a1 < #b1 end
  if a1 ~= b1 then return a1 < b1 end
  if #a2 ~= #b2 then return #a2 < #b2 end
  return a2 < b2
end
local function after(id) -- the next one that there could be
  local ms, n = id:match('^(%d+)-(%d+)$')
  if #n > 15 then return id end -- forged, and too big for a number: this entry stays until another one is read
  return ms .. '-' .. ('%.0f'):format(tonumber(n) + 1)
end

local least -- the first entry that some group still needs
local is_group_there, astray = false, 0
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local state = {} -- the group's fields, by their names
  for i = 1, #group, 2 do state[group[i]] = group[i + 1] end
  -- the second value of XPENDING's reply is the smallest id that is pending
  local keep = state.pending > 0 and redis.call('XPENDING', KEYS[1], state.name)[2] or after(state['last-delivered-id'])
  if not least or before(keep, least) then least = keep end
  if state.name == ARGV[1] then
    is_group_there = true
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], state.name)) do
      local fields = {}
      for i = 1, #consumer, 2 do fields[consumer[i]] = consumer[i + 1] end
      if fields.pending > 0 and fields.name ~= ARGV[3] then astray = 1 end
      if fields.pending == 0 and not is_there[fields.name] then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], state.name, fields.name) end
    end
  end
end
-- A group that somebody has destroyed is made anew, and begins with the first entry.
local removed = is_group_there and redis.call('XTRIM', KEYS[1], 'MINID', least) or 0
return { removed, redis.call('XLEN', KEYS[1]), 0, astray }
