-- Counts one page view, and reports on the visitor's page views so far (white paper, "Activity Pattern Monitoring").
-- keys     activity, pages, visited, visited-items, gone; where message.all is set, all keys of a subject, `own` among them
-- message  item: the page as bloom_add() takes it; page: the page as it is stored, where `item` is not that text; token: the dedup token of the
--          request (was_counted()); isAnonymous: is this an anonymous visitor, whose pages may be carried to a user later; again: was this
--          message sent before, in a call that got no answer; all: were all keys given; isUser: is the subject a user
-- Answer   the report as JSON. If the lost call has counted the view, the report is of that view; it then says that the page was new
--          only if every page of the visitor was.

-- What a report says after its two numbers. Few of the 256 texts that there can be occur, so those are kept for this call of
-- the script.
local tails = {}
local function tail_of(is_fresh, is_new_to_site, minutes)
  local key = minutes + (is_fresh and 64 or 0) + (is_new_to_site and 128 or 0)
  local tail = tails[key]
  if tail then return tail end
  local five = {}
  for i = 1, 5 do five[i] = bit.band(bit.rshift(minutes, 6 - i), 1) end
  tail = (',"previouslyVisited":%s,"activityThisMinute":%s,"activity":[%s],"newToSite":%s,"inactive":%s}'):format(
    tostring(not is_fresh), tostring(minutes % 2 == 1), table.concat(five, ','),
    tostring(is_new_to_site), tostring(minutes < 2))
  tails[key] = tail
  return tail
end

-- The report as JSON. `minutes` has six bits: the five minutes before this one, the oldest first, and this one.
local function report(activity, is_fresh, minutes)
  return '{"totalPages":' .. activity.views .. ',"uniquePages":' .. activity.unique_pages ..
    tail_of(is_fresh, is_fresh and activity.unique_pages == 1, minutes)
end

-- The report on a view that was counted by a call whose answer was lost.
local function report_of_lost_call(activity, minute)
  -- That call has set this minute's bit. So the report may say `activityThisMinute` though no earlier view was in this minute,
  -- which is accepted; of a first view it is known that none was.
  local minutes = activity.views > 1 and ring_fits(activity) and last_six_minutes(activity, minute) or 0
  return report(activity, activity.unique_pages == activity.views, minutes)
end

local activity = new_activity() -- one table for all page views of a call: read_activity() fills it anew for each
-- KEPT (script.ts) names all keys that live as long as the subject.
local MADE = { 'activity', 'pages', 'visited', 'visited-items' } -- the keys that a page view makes

-- Reads the activity. Are the expiries of all keys to be renewed? They are where a key may expire before the session
-- (activity.expires is the Unix time, in seconds, at which the first one does; one second is for rounding), and where there is
-- no activity yet, since other commands may have made keys.
local function read_due(keys, message)
  read_activity(activity, redis.call('GET', keys.activity) or '')
  return activity.is_new or activity.expires - clock() < message.ttl / 1000 + 1
end
needs_all_keys['pageview'] = read_due

commands['pageview'] = function(keys, message)
  -- The types of activity, filter and HyperLogLog are known before the first write, so that a key of another type leaves everything as it was;
  -- note_item() leaves alone what is no list.
  local is_due = message.all and read_due(keys, message) -- else loop.lua has called it just now, and nothing is due
  local now = clock()
  -- A session with activity was not destroyed, so `gone` need not be read. A user may have activity again after an erasure.
  if activity.is_new or message.isUser then
    local ended, to = has_ended(keys.gone, message) -- 'gone', or 'moved' and the user's subject
    if ended then return nil, ended, to end
  end
  if not activity.is_new and was_counted(activity, message.token) then
    if not message.again then return nil, 'duplicate' end
    return report_of_lost_call(activity, math.floor(now / 60))
  end
  local had_filter = bloom_check(keys.visited)
  local page = message.page or message.item
  local adds_to_unique = redis.call('PFADD', keys.pages, page) == 1 -- raises an error before anything is written where the key is no HyperLogLog
  local is_fresh = bloom_add(keys.visited, message.item, had_filter) == 1
  local is_first_item = message.isAnonymous and is_fresh and note_item(keys['visited-items'], page)

  local minute = math.floor(now / 60)
  local today = math.floor(minute / MINUTES_A_DAY)
  -- One of the keys that a page view makes may be new, and without an expiry: the filter or the list was made just now; or an earlier view of
  -- this page failed between PFADD and the filter, and left the HyperLogLog so (then the page is in it, and not in the filter); or the
  -- HyperLogLog was lost and made anew, so that its count has not grown.
  local some_new = not had_filter or is_first_item or (is_fresh and not adds_to_unique)
  if adds_to_unique or activity.is_new then
    local unique_pages = redis.call('PFCOUNT', keys.pages)
    some_new = some_new or unique_pages <= activity.unique_pages
    activity.unique_pages = unique_pages
  end
  activity.views = activity.views + 1
  local opened = open_day(activity, today)
  if is_due then activity.expires = now + math.floor(kept_for(message.ttl) / 1000) end
  local head = pack_head(activity, message.token)

  if opened == 'unchanged' then -- the ring had today's slot already
    redis.call('SETRANGE', keys.activity, 0, head)
  else
    -- SET stores the string at its exact size: a string that grows by SETRANGE takes up to twice as much memory
    redis.call('SET', keys.activity, head .. activity.data:sub(HEAD_BYTES + 1), 'KEEPTTL')
  end
  local minutes = last_six_minutes(activity, minute)
  -- after the clock was put back, today may be a day that the ring no longer has
  if minutes % 2 == 0 and activity.last_day - today < SLOTS then
    redis.call('SETBIT', keys.activity, slot_of(activity, today) * 8 + minute % MINUTES_A_DAY, 1)
  end
  if is_due or some_new then
    local keep_ms = kept_for(message.ttl)
    -- The message may have been sent for a visitor who has logged in since: then its ttl is that of the visitor's session.
    if message.isUser then keep_ms = math.max(keep_ms, redis.call('PTTL', keys.activity)) end
    for _, name in ipairs(is_due and KEPT or MADE) do lengthen(keys[name], keep_ms) end
    if is_due then keep_own(keys.own, keep_ms, keep_ms) end -- leaves alone what lives longer
  end
  if message.waits then return report(activity, is_fresh, minutes) end
end
