-- What is known of a session's views, one string (WIRE.md, "activity"), to stand before commands:
-- version (one byte), first day u32, last day u32, views u32, distinct pages u32, when it expires u32 (seconds), marks of the last 17 requests
-- counted (11 bytes each, newest first); then a ring of days, a bit a minute, in slots of 180 bytes.
local bit, struct = bit, struct
local RING_VERSION = '\1'
local MARKS_AT, MARK, MARKS, HEAD, DAY = 21, 11, 187, 208, 180

-- first day, last day, views, distinct pages, when it expires; nothing where the string is empty, an error where it is
-- something else, or was written by a version that this one does not know
local function ring_head(data)
  if #data == 0 then return end
  if data:sub(1, 1) ~= RING_VERSION then error({ version = 'the activity' }) end
  if #data < HEAD or (#data - HEAD) % DAY ~= 0 then error('WRONGTYPE the activity is damaged') end
  return struct.unpack('<I4I4I4I4I4', data, 2)
end

-- Was the ring made for as many slots? Another option `activityDays` makes another ring.
local function ring_fits(data, first, last, slots)
  return (#data - HEAD) / DAY == math.min(last - first + 1, slots)
end

-- Was a request counted? A mark is its sender's (5 bytes), and its number among the sender's (6 digits to the base 36).
-- Whoever is not among the marks was counted if it is older than all that are remembered of its sender, and some are not: a
-- sender's requests come in their order, but two workers may hear them, and one of them late.
local function ring_counted(data, mark)
  local at = data:find(mark, MARKS_AT + 1, true)
  while at and at <= HEAD do
    if (at - MARKS_AT - 1) % MARK == 0 then return true end
    at = data:find(mark, at + 1, true)
  end
  local number = tonumber(mark:sub(6), 36)
  if data:byte(HEAD) == 0 or not number then return false end
  local sender, older = mark:sub(1, 5), false
  at = data:find(sender, MARKS_AT + 1, true)
  while at and at <= HEAD do
    if (at - MARKS_AT - 1) % MARK == 0 then
      if number > (tonumber(data:sub(at + 5, at + 10), 36) or 0) then return false end
      older = true
    end
    at = data:find(sender, at + 1, true)
  end
  return older
end

-- where a day's slot begins, from 0
local function ring_slot(first, slots, day) return HEAD + ((day - first) % slots) * DAY end

-- 0 or 1
local function ring_bit(data, first, last, slots, minute)
  local of = minute % 1440
  local day = (minute - of) / 1440
  if day < first or day > last or last - day >= slots then return 0 end
  local byte = data:byte(ring_slot(first, slots, day) + (of - of % 8) / 8 + 1)
  return byte and bit.band(bit.rshift(byte, 7 - of % 8), 1) or 0
end

-- the five minutes before a minute of the last day, oldest first, and this one: six bits
local function ring_six(data, first, last, slots, minute)
  local from = minute % 1440 - 5
  if from < 0 then
    local bits = 0
    for ago = 5, 0, -1 do bits = bits * 2 + ring_bit(data, first, last, slots, minute - ago) end
    return bits
  end
  local low = from % 8
  local at = ring_slot(first, slots, last) + (from - low) / 8 + 1
  local one, two = data:byte(at, at + 1)
  return bit.band(bit.rshift(one * 256 + (two or 0), 10 - low), 63)
end
