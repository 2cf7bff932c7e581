-- Joins the activities of two subjects, as activity-ring.lua reads them: an anonymous visitor's is added to that of the user as whom they have
-- logged in. In the script this file stands after activity-ring.lua and before take-over.lua.

local EMPTY_DAY = empty_days(1)

-- Gives the bytes of a day, or nil where the ring has no view on that day.
local function day_of(activity, day)
  if activity.is_new or not ring_fits(activity) or day < activity.first_day or day > activity.last_day then return nil end
  if activity.last_day - day >= SLOTS then return nil end
  local at = slot_of(activity, day)
  local bits = activity.data:sub(at + 1, at + DAY_BYTES)
  return bits ~= EMPTY_DAY and bits or nil
end

-- Gives the bytes of a day with the views of both; nil where both are nil.
local function both_days(one, other)
  if not one or not other or one == other then return one or other end
  local bytes, more = { one:byte(1, DAY_BYTES) }, { other:byte(1, DAY_BYTES) }
  for i = 1, DAY_BYTES do bytes[i] = string.char(bit.bor(bytes[i], more[i])) end
  return table.concat(bytes)
end

-- Adds the views and days of `other` to `activity`, which then has a field `ring`: the bytes of all days of both, the last ones
-- where there are more days than slots.
local function join_activity(activity, other)
  activity.views = activity.views + other.views
  local from, to
  for _, one in ipairs({ activity, other }) do
    if not one.is_new then
      from, to = math.min(from or one.first_day, one.first_day), math.max(to or one.last_day, one.last_day)
    end
  end
  from = math.max(from, to - SLOTS + 1)
  local days = {}
  for day = from, to do
    days[#days + 1] = both_days(day_of(activity, day), day_of(other, day)) or EMPTY_DAY
  end
  activity.first_day, activity.last_day, activity.ring = from, to, table.concat(days)
end

-- Gives the dedup tokens of two activities by turns, the newest first, as many as the head has room for.
local function joined_tokens(one, other)
  local tokens, is_there = {}, { [('\0'):rep(TOKEN_BYTES)] = true } -- the zeros of a place without a token are none
  for i = 0, MAX_TOKENS - 1 do
    for _, activity in ipairs({ other, one }) do
      local at = TOKENS_OFFSET + i * TOKEN_BYTES
      local token = activity.data:sub(at + 1, at + TOKEN_BYTES)
      if #tokens < MAX_TOKENS and not is_there[token] then
        is_there[token] = true
        tokens[#tokens + 1] = token
      end
    end
  end
  return table.concat(tokens) .. ('\0'):rep((MAX_TOKENS - #tokens) * TOKEN_BYTES)
end
