-- Counts one page view and reads what there is to know (white paper, "Activity Pattern Monitoring").
-- k  views, pages, visited, activity, notified
-- a  page as bloom_add takes it; page; mark of the request (6 bytes); days kept
-- Reply the report as JSON, or AGAIN where this request was counted before
commands['pageview'] = function(k, a, _, ttl, wanted)
  local views, pages, visited, activity = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local mark, slots = ARGV[a + 2], tonumber(ARGV[a + 3]) + 1

  -- everything is read before the first write: a key of another type leaves all as it was
  local data = redis.call('GET', activity) or ''
  local first, last = ring_days(data)
  local at = first and data:find(mark, 9, true)
  while at and at <= HEAD do
    if (at - 9) % 6 == 0 then return AGAIN end
    at = data:find(mark, at + 1, true)
  end
  local counted = redis.call('GET', views)
  if counted and not counted:match('^%d+$') then error('WRONGTYPE the counter is not a number') end
  local unique = redis.call('PFCOUNT', pages)

  local fresh = bloom_add(visited, ARGV[a])
  local total = redis.call('INCR', views)
  local known = unique
  local other = redis.call('PFADD', pages, ARGV[a + 1])
  if other == 1 then unique = redis.call('PFCOUNT', pages) end

  local minute = math.floor(clock() / 60)
  local today = math.floor(minute / 1440)
  local marks = mark .. (first and data:sub(9, HEAD - 6) or ('\0'):rep(MARKS - 6))
  if not first or today - last >= slots or today < first then
    data = struct.pack('<I4I4', today, today) .. marks .. ('\0'):rep(DAY)
    first, last = today, today
    redis.call('SET', activity, data, 'PX', ttl)
  elseif today > last then
    for day = last + 1, today do
      local slot = ring_slot(first, slots, day)
      data = data:sub(1, slot) .. ('\0'):rep(DAY) .. data:sub(slot + DAY + 1)
    end
    last = today
    -- written at its exact size: a string that grows by SETRANGE takes up to twice as much
    redis.call('SET', activity, struct.pack('<I4I4', first, last) .. marks .. data:sub(HEAD + 1), 'KEEPTTL')
  else
    redis.call('SETRANGE', activity, 8, marks)
  end
  local now = ring_bit(data, first, last, slots, minute)
  if now == 0 then redis.call('SETBIT', activity, ring_slot(first, slots, today) * 8 + minute % 1440, 1) end

  -- Expiries are renewed where one is off by a sixteenth, or where a key may be new.
  local left = redis.call('PTTL', activity)
  if not counted or known == 0 or (fresh == 1 and other == 0) or left < ttl - ttl / 16 or left > ttl + 1000 then
    for i = k, k + 4 do redis.call('PEXPIRE', KEYS[i], ttl) end
  end

  if not wanted then return end
  local bits, active = {}, false
  for ago = 5, 1, -1 do
    local value = ring_bit(data, first, last, slots, minute - ago)
    bits[6 - ago] = value
    active = active or value == 1
  end
  return ('{"totalPages":%d,"uniquePages":%d,"previouslyVisited":%s,"activityThisMinute":%s,"activity":[%s],"newToSite":%s,"inactive":%s}')
    :format(total, unique, fresh == 0 and 'true' or 'false', now == 1 and 'true' or 'false', table.concat(bits, ','),
      (unique == 1 and fresh == 1) and 'true' or 'false', active and 'false' or 'true')
end
