-- Adds what an anonymous visitor had read to what the user has read who has logged in. A second call with the same data changes nothing.
-- KEYS  seen of the user
-- ARGV  how long the user's data are kept from now on, ms; the field that holds the time of the first read; then the fields of the
--       visitor's `seen` and their values by turns
local seen, keepMs, since = KEYS[1], tonumber(ARGV[1]), ARGV[2]

local text = function(number) return string.format('%.0f', number) end
for i = 3, #ARGV, 2 do
  local field, theirs = ARGV[i], ARGV[i + 1]
  local mine = redis.call('HGET', seen, field)
  if not mine then
    redis.call('HSET', seen, field, theirs)
  elseif field == since then
    redis.call('HSET', seen, field, text(math.min(tonumber(mine), tonumber(theirs))))
  else
    local upTo, known, positions = 0, {}, {}
    for _, value in ipairs({ mine, theirs }) do upTo = math.max(upTo, tonumber(string.match(value, '^%d+'))) end
    for _, value in ipairs({ mine, theirs }) do
      for position in string.gmatch(string.match(value, '^%d+(.*)$'), '%d+') do
        if tonumber(position) > upTo and not known[position] then
          known[position] = true
          positions[#positions + 1] = position
        end
      end
    end
    table.insert(positions, 1, text(upTo))
    redis.call('HSET', seen, field, table.concat(positions, ' '))
  end
end
local left = redis.call('PTTL', seen)
-- the expiry is set a sixteenth later than needed, so that most calls need not renew it
if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
return 1
