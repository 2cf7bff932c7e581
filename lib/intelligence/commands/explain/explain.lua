-- Answers with all data that is kept about a subject, as numbers. In the script this file stands after the Bloom filter's functions (bloom_count),
-- activity-ring.lua and explain-own.lua (explain_own), whose functions it calls.
-- keys     activity: the string with the page views (activity-ring.lua); notified: the Bloom filter of the notifications that were read; own:
--          the hash with the names of the application's keys (own-keys.lua)
-- Answer   a JSON object (index.ts, "Explained"); `days` are pairs of the day since 1970 and of the number of its minutes with a page view
commands['explain'] = function(keys, message)
  local activity = new_activity()
  read_activity(activity, redis.call('GET', keys.activity) or '')
  local days = {}
  -- a ring of another number of days, made before that option changed, is not read
  if not activity.is_new and ring_fits(activity) then
    -- since the ring began on `first_day`, its older days may have made room for later ones
    for day = math.max(activity.first_day, activity.last_day - ACTIVITY_DAYS), activity.last_day do
      local at = slot_of(activity, day)
      local minutes = redis.call('BITCOUNT', keys.activity, at, at + DAY_BYTES - 1)
      if minutes > 0 then days[#days + 1] = '[' .. day .. ',' .. minutes .. ']' end
    end
  end
  -- data are kept for as long as the key that lives longest
  local left = math.max(redis.call('PTTL', keys.activity), redis.call('PTTL', keys.notified), redis.call('PTTL', keys.own))
  return '{"pageViews":' .. activity.views .. ',"uniquePages":' .. activity.unique_pages ..
    ',"notificationsRead":' .. bloom_count(keys.notified) ..
    ',"ownKeys":' .. explain_own(keys.own) ..
    ',"days":[' .. table.concat(days, ',') .. '],"keptForSeconds":' .. math.max(0, math.ceil(left / 1000)) .. '}'
end
