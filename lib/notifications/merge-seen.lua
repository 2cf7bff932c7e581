-- Adds what an anonymous visitor had read to what the user has read who has logged in. A second call with the same data changes nothing.
-- KEYS  seen of the user; and seen of the visitor, whose fields are then removed. In a Cluster the two are on different nodes, and the
--       visitor's fields are given as arguments
-- ARGV  how long the user's data are kept from now on, ms; the field that holds the time of the first read; then, without the second key,
--       the fields of the visitor's `seen` and their values by turns (mark.lua says what they are)
-- Reply 1
local seen, visitor, keepMs, sinceField = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local fields = visitor and redis.call('HGETALL', visitor) or {}
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
if #fields == 0 then return 1 end

local text = function(number) return string.format('%.0f', number) end
for i = 1, #fields, 2 do
  local field, visitors = fields[i], fields[i + 1]
  local users = redis.call('HGET', seen, field)
  if not users then
    redis.call('HSET', seen, field, visitors)
  elseif field == sinceField then
    redis.call('HSET', seen, field, text(math.min(tonumber(users), tonumber(visitors))))
  else
    local upTo, isListed, positions = 0, {}, {}
    for _, value in ipairs({ users, visitors }) do upTo = math.max(upTo, tonumber(string.match(value, '^%d+'))) end
    for _, value in ipairs({ users, visitors }) do
      for position in string.gmatch(string.match(value, '^%d+(.*)$'), '%d+') do
        if tonumber(position) > upTo and not isListed[position] then
          isListed[position] = true
          positions[#positions + 1] = position
        end
      end
    end
    table.insert(positions, 1, text(upTo))
    redis.call('HSET', seen, field, table.concat(positions, ' '))
  end
  if visitor then redis.call('HDEL', visitor, field) end
end
local left = redis.call('PTTL', seen)
-- the expiry is set a sixteenth later than needed, so that most calls need not renew it
if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
return 1
