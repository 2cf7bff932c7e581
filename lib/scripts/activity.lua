-- The last minutes before the current one, oldest first.
-- KEYS  activity
-- ARGV  how many minutes; days kept
-- Reply a string of as many 0 and 1
local HEAD, DAY = 200, 180
local minutes, slots = tonumber(ARGV[1]), tonumber(ARGV[2]) + 1
local data = redis.call('GET', KEYS[1])
if not data then return string.rep('0', minutes) end
if #data < HEAD or (#data - HEAD) % DAY ~= 0 then return redis.error_reply('WRONGTYPE the activity is damaged') end
local first, last = struct.unpack('<I4I4', data)
local now = math.floor(tonumber(redis.call('TIME')[1]) / 60)
local out = {}
for ago = minutes, 1, -1 do
  local minute = now - ago
  local day = math.floor(minute / 1440)
  local value = '0'
  if day >= first and day <= last and last - day < slots then
    local of = minute % 1440
    local byte = data:byte(HEAD + ((day - first) % slots) * DAY + math.floor(of / 8) + 1)
    if byte and math.floor(byte / 2 ^ (7 - of % 8)) % 2 == 1 then value = '1' end
  end
  out[#out + 1] = value
end
return table.concat(out)
