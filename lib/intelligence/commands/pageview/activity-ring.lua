-- Reads and writes the activity of a subject: one string with all that is known of its page views (WIRE.md, "activity"). In the script
-- this file stands before pageview.lua; activity/index.ts reads the same string in TypeScript. The string has a head:
--   version (1 byte); first day and last day of the ring (days since 1970), views, unique pages, when the keys expire (Unix time in
--   seconds), each an unsigned 32-bit integer, little-endian;
--   the dedup tokens of the last 17 requests that were counted (11 bytes each, the newest first);
-- and after the head a ring of days, with one bit for each minute. Offsets count from 0, positions from 1. Minutes and days
-- are counted since 1970. The script defines ACTIVITY_DAYS before these lines: how many days are kept (the option
-- `activityDays`).
local bit, struct = bit, struct -- locals are found faster than globals
local ACTIVITY_VERSION, HEAD_FORMAT = 1, '<BI4I4I4I4I4'
local TOKENS_OFFSET, TOKEN_BYTES, MAX_TOKENS = 21, 11, 17
local HEAD_BYTES = TOKENS_OFFSET + MAX_TOKENS * TOKEN_BYTES
-- a token begins with a hash of the sender; the rest is the number that the sender gave the request, or no number (dedup-token.ts)
local SENDER_BYTES = 5
local DAY_BYTES, MINUTES_A_DAY = 180, 1440
-- how many days the ring has: one more than are kept, since so many times 24 hours begin and end in the middle of a day
local SLOTS = ACTIVITY_DAYS + 1

-- Gives the bytes of so many days without a view.
local function empty_days(days) return ('\0'):rep(days * DAY_BYTES) end

-- Reads the string into `activity`, a table. Raises an error where the string is something else, or where a later version has written it
-- (loop.lua recognizes that by the field `version`).
local function read_activity(activity, data)
  activity.is_new = #data == 0
  if activity.is_new then
    activity.data, activity.views, activity.unique_pages, activity.expires = ('\0'):rep(HEAD_BYTES), 0, 0, 0
    return
  end
  if data:byte(1) ~= ACTIVITY_VERSION then error({ version = 'the activity' }) end
  if #data < HEAD_BYTES or (#data - HEAD_BYTES) % DAY_BYTES ~= 0 then error('WRONGTYPE the activity is damaged') end
  activity.data = data
  local _
  _, activity.first_day, activity.last_day, activity.views, activity.unique_pages, activity.expires = struct.unpack(HEAD_FORMAT, data)
end

-- Gives a table that read_activity() may fill.
local function new_activity()
  return { data = '', first_day = 0, last_day = 0, views = 0, unique_pages = 0, expires = 0, is_new = false }
end

-- Gives the head as bytes, with `tokens` before the tokens that it had; the oldest ones are left out.
local function pack_head(activity, tokens)
  local numbers = struct.pack(
    HEAD_FORMAT, ACTIVITY_VERSION, activity.first_day, activity.last_day, activity.views, activity.unique_pages, activity.expires)
  return numbers .. tokens .. activity.data:sub(TOKENS_OFFSET + 1, HEAD_BYTES - #tokens)
end

-- Finds, from position `from` on, the first token that begins with `text`. Gives its position, or nil.
local function find_token(data, text, from)
  local at = data:find(text, from, true)
  while at and at <= HEAD_BYTES do
    if (at - 1 - TOKENS_OFFSET) % TOKEN_BYTES == 0 then return at end
    at = data:find(text, at + 1, true)
  end
end

-- Was this request counted already? It was if its token is among those in the head. If the head has all 17 tokens, and some are of the
-- same sender, it also was if its number is lower than the numbers of all of those: a sender numbers its requests in their order, so a
-- request with such a low number was counted earlier, by this worker or another one, and its token has been left out since.
local function was_counted(activity, token)
  local data = activity.data
  if find_token(data, token, TOKENS_OFFSET + 1) then return true end
  local number = tonumber(token:sub(SENDER_BYTES + 1), 36)
  local all_are_taken = data:byte(HEAD_BYTES) ~= 0 -- the last character of the last token; where there is none, the bytes are 0
  if not number or not all_are_taken then return false end
  local sender = token:sub(1, SENDER_BYTES)
  local at = find_token(data, sender, TOKENS_OFFSET + 1)
  local is_older = at ~= nil
  while at do
    local its_number = tonumber(data:sub(at + SENDER_BYTES, at + TOKEN_BYTES - 1), 36)
    if number > (its_number or 0) then return false end -- a token without a number is of an id whose hash begins alike
    at = find_token(data, sender, at + 1)
  end
  return is_older
end

-- Was the ring made with the option `activityDays` that this process has? Another one gave it another number of slots.
local function ring_fits(activity)
  local days = activity.last_day - activity.first_day + 1
  return (#activity.data - HEAD_BYTES) / DAY_BYTES == math.min(days, SLOTS)
end

-- The offset at which the slot of a day begins.
local function slot_of(activity, day)
  return HEAD_BYTES + ((day - activity.first_day) % SLOTS) * DAY_BYTES
end

-- Gives 1 if there was a view in this minute, else 0.
local function ring_bit(activity, minute)
  local of_day = minute % MINUTES_A_DAY
  local day = (minute - of_day) / MINUTES_A_DAY
  if day < activity.first_day or day > activity.last_day or activity.last_day - day >= SLOTS then return 0 end
  local byte = activity.data:byte(slot_of(activity, day) + (of_day - of_day % 8) / 8 + 1)
  return byte and bit.band(bit.rshift(byte, 7 - of_day % 8), 1) or 0
end

-- Gives six bits, for the five minutes before `minute` and for `minute`, the oldest first. They are read at once from two
-- neighbouring bytes, unless some are of the day before, or the clock was put back to before the ring's last day.
local function last_six_minutes(activity, minute)
  local from = minute % MINUTES_A_DAY - 5
  if from < 0 or minute < activity.last_day * MINUTES_A_DAY then
    local bits = 0
    for ago = 5, 0, -1 do bits = bits * 2 + ring_bit(activity, minute - ago) end
    return bits
  end
  local low = from % 8
  local at = slot_of(activity, activity.last_day) + (from - low) / 8 + 1
  local one, two = activity.data:byte(at, at + 1)
  return bit.band(bit.rshift(one * 256 + (two or 0), 16 - 6 - low), 63)
end

-- Makes a slot for a day. Gives 'unchanged' if the day has one, or is so old that the ring no longer has it (the clock was put back);
-- 'extended' if the ring got more slots, or slots of old days were reused; 'reset' if a new ring begins with this day.
local function open_day(activity, day)
  local first_day, last_day = activity.first_day, activity.last_day
  if activity.is_new or day < first_day or day - last_day >= SLOTS or not ring_fits(activity) then
    activity.first_day, activity.last_day, activity.data = day, day, activity.data:sub(1, HEAD_BYTES) .. empty_days(1)
    return 'reset'
  end
  if day <= last_day then return 'unchanged' end
  -- the slots of the days since the last one are emptied: first those up to the ring's end, then those from its beginning
  local data, days, slot = activity.data, day - last_day, slot_of(activity, last_day + 1)
  local here = math.min(days, SLOTS - (slot - HEAD_BYTES) / DAY_BYTES)
  data = data:sub(1, slot) .. empty_days(here) .. data:sub(slot + here * DAY_BYTES + 1)
  local rest = days - here
  if rest > 0 then data = data:sub(1, HEAD_BYTES) .. empty_days(rest) .. data:sub(HEAD_BYTES + rest * DAY_BYTES + 1) end
  activity.data, activity.last_day = data, day
  return 'extended'
end
