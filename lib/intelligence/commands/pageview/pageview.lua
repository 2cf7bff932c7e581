-- Counts one page view, and reads what is known of the visitor (white paper, "Activity Pattern Monitoring").
-- keys     all that is kept of a session, own and gone
-- message  item: the page as bloom_add() takes it; page; token: by which the request is known again (was_counted()); days: how many
--          days of activity are kept; isAnonymous: may the visitor become a user, to whom pages are carried; again: whether a call
--          that got no answer has sent it before
-- Answer   the report as JSON. Of a call that is sent again: what the lost one counted. Whether the page was new is then known
--          only where all pages were.
local function json_bool(yes) return yes and 'true' or 'false' end

local FIVE_MINUTES = {} -- as JSON, by their bits
local function five_minutes(bits)
  if not FIVE_MINUTES[bits] then
    local list = {}
    for i = 1, 5 do list[i] = bit.band(bit.rshift(bits, 5 - i), 1) end
    FIVE_MINUTES[bits] = table.concat(list, ',')
  end
  return FIVE_MINUTES[bits]
end

-- minutes: six bits, the five minutes before this one and this one, oldest first
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
  -- its own view has set this minute's bit: of the first view ever, nothing was set before
  local minutes = activity.views > 1 and ring_fits(activity) and last_six_minutes(activity, minute) or 0
  return report(activity, activity.unique_pages == activity.views, minutes)
end

commands['pageview'] = function(keys, message)
  -- All types are known before the first write, so that a key of another type leaves everything as it was.
  local activity = unpack_activity(redis.call('GET', keys.activity) or '', message.days + 1)
  if activity.is_new then
    -- a session of which something is known is not destroyed
    local ended, to = has_ended(keys.gone, message)
    if ended then return nil, ended, to end
  elseif was_counted(activity, message.token) then
    if not message.again then return nil, 'duplicate' end
    return report_of_lost_call(activity, math.floor(clock() / 60))
  end
  local had_filter = bloom_check(keys.visited)
  local adds_to_unique = redis.call('PFADD', keys.pages, message.page) == 1 -- an error, and nothing written, where it is no HyperLogLog
  local is_fresh = bloom_add(keys.visited, message.item, had_filter) == 1

  local is_first_item = message.isAnonymous and is_fresh and note_item(keys['visited-items'], message.page)

  local now = clock()
  local minute = math.floor(now / 60)
  local today = math.floor(minute / MINUTES_A_DAY)
  -- Expiries are renewed where the keys would be gone before the session, and where one of them may be new.
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
    -- written at its exact size: a string that grows by SETRANGE takes up to twice as much
    redis.call('SET', keys.activity, head .. activity.data:sub(HEAD_BYTES + 1), 'KEEPTTL')
  end
  local minutes = last_six_minutes(activity, minute)
  if minutes % 2 == 0 and activity.last_day - today < activity.slots then
    redis.call('SETBIT', keys.activity, slot_of(activity, today) * 8 + minute % MINUTES_A_DAY, 1)
  end
  if renew then
    local keep_ms = kept_for(message.ttl)
    for _, name in ipairs(KEPT) do keep_for(keys[name], keep_ms) end
    keep_own(keys.own, keep_ms, keep_ms)
  end
  if message.waits then return report(activity, is_fresh, minutes) end
end
