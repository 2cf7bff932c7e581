-- The activity of a session, to stand before commands: a ring of days, a bit a minute (WIRE.md, "activity").
-- A string: first day u32, last day u32, the marks of the last 32 requests (6 bytes each), then slots of 180 bytes.
local HEAD, MARKS, DAY = 200, 192, 180

-- first day, last day; nothing where the string is empty, an error where it is something else
local function ring_days(data)
  if #data == 0 then return end
  if #data < HEAD or (#data - HEAD) % DAY ~= 0 then error('WRONGTYPE the activity is damaged') end
  return struct.unpack('<I4I4', data)
end

-- where a day's slot begins, from 0
local function ring_slot(first, slots, day) return HEAD + ((day - first) % slots) * DAY end

-- 0 or 1
local function ring_bit(data, first, last, slots, minute)
  local day = math.floor(minute / 1440)
  if day < first or day > last or last - day >= slots then return 0 end
  local of = minute - day * 1440
  local byte = data:byte(ring_slot(first, slots, day) + math.floor(of / 8) + 1)
  return byte and bit.band(bit.rshift(byte, 7 - of % 8), 1) or 0
end
