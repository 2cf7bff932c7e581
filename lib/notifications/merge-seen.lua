-- Adds to what a user has read what the same person had read before logging in. Twice is as good as once.
-- KEYS  of the user: seen, gone
-- ARGV  how long what is kept of the user lives from now on, in ms; the field of the time of the first question; then the fields of the
--       visitor's `seen` and their values by turns
-- Reply 1, or 0 where the user's data were erased
local seen, gone, keepMs, since = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
if redis.call('EXISTS', gone) == 1 then return 0 end

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
if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
return 1
