-- Counts one page view, and reports on the visitor's page views so far (white paper, "Activity Pattern Monitoring").
-- keys     all keys of a subject, own and gone
-- message  item: the page as bloom_add() takes it; page: the page as it is stored; token: the dedup token of the request
--          (was_counted()); days: how many days of activity are kept; isAnonymous: is this an anonymous visitor, whose pages may be
--          carried to a user later; again: was this message sent before, in a call that got no answer
-- Answer   the report as JSON. If the lost call has counted the view, the report is of that view; it then says that the page was new
--          only if every page of the visitor was.
local function json_bool(yes) return yes and 'true' or 'false' end

local FIVE_MINUTES = {} -- the JSON of five minutes, by their five bits as a number
local function five_minutes(bits)
  if not FIVE_MINUTES[bits] then
    local list = {}
    for i = 1, 5 do list[i] = bit.band(bit.rshift(bits, 5 - i), 1) end
    FIVE_MINUTES[bits] = table.concat(list, ',')
  end
  return FIVE_MINUTES[bits]
end

-- The report as JSON. `minutes` has six bits: the five minutes before this one, the oldest first, and this one.
local function report(activity, is_fresh, minutes)
  local this = minutes % 2
  return '{"totalPages":' .. activity.views .. ',"uniquePages":' .. activity.unique_pages ..
    ',"previouslyVisited":' .. json_bool(not is_fresh) ..
    ',"activityThisMinute":' .. json_bool(this == 1) ..
    ',"activity":[' .. five_minutes((minutes - this) / 2) ..
    '],"newToSite":' .. json_bool(is_fresh and activity.unique_pages == 1) ..
    ',"inactive":' .. json_bool(minutes < 2) .. '}'
end

local function report_of_lost_call(activity, minute)
  -- the lost call has set this minute's bit, so it is set even where no earlier view was in this minute; a first view had no bit before it
  local minutes = activity.views > 1 and ring_fits(activity) and last_six_minutes(activity, minute) or 0
  return report(activity, activity.unique_pages == activity.views, minutes)
end

commands['pageview'] = function(keys, message)
  -- All types are known before the first write, so that a key of another type leaves everything as it was.
  local activity = unpack_activity(redis.call('GET', keys.activity) or '', message.days + 1)
  -- A session with activity was not destroyed, so `gone` need not be read. A user may have activity again after an erasure.
  if activity.is_new or message.isUser then
    local ended, to = has_ended(keys.gone, message)
    if ended then return nil, ended, to end
  end
  if not activity.is_new and was_counted(activity, message.token) then
    if not message.again then return nil, 'duplicate' end
    return report_of_lost_call(activity, math.floor(clock() / 60))
  end
  local had_filter = bloom_check(keys.visited)
  local adds_to_unique = redis.call('PFADD', keys.pages, message.page) == 1 -- raises an error before anything is written where the key is no HyperLogLog
  local is_fresh = bloom_add(keys.visited, message.item, had_filter) == 1

  local is_first_item = message.isAnonymous and is_fresh and note_item(keys['visited-items'], message.page)

  local now = clock()
  local minute = math.floor(now / 60)
  local today = math.floor(minute / MINUTES_A_DAY)
  -- Expiries are renewed if the keys would expire before the session, and if one of the keys may be new, which then has no expiry.
  local renew = activity.is_new or activity.expires - now < message.ttl / 1000 + 1 or not had_filter or is_first_item or (is_fresh and not adds_to_unique)
  if adds_to_unique or activity.is_new then
    local unique_pages = redis.call('PFCOUNT', keys.pages)
    renew = renew or unique_pages <= activity.unique_pages
    activity.unique_pages = unique_pages
  end
  activity.views = activity.views + 1
  local opened = open_day(activity, today)
  renew = renew or opened == 'reset'
  if renew then activity.expires = now + math.floor(kept_for(message.ttl) / 1000) end
  local head = pack_head(activity, message.token)

  if opened == 'unchanged' then
    redis.call('SETRANGE', keys.activity, 0, head)
  else
    -- SET stores the string at its exact size: a string that grows by SETRANGE takes up to twice as much memory
    redis.call('SET', keys.activity, head .. activity.data:sub(HEAD_BYTES + 1), 'KEEPTTL')
  end
  local minutes = last_six_minutes(activity, minute)
  if minutes % 2 == 0 and activity.last_day - today < activity.slots then
    redis.call('SETBIT', keys.activity, slot_of(activity, today) * 8 + minute % MINUTES_A_DAY, 1)
  end
  if renew then
    local keep_ms = kept_for(message.ttl)
    for _, name in ipairs(KEPT) do lengthen(keys[name], keep_ms) end
    keep_own(keys.own, keep_ms, keep_ms)
  end
  if message.waits then return report(activity, is_fresh, minutes) end
end
