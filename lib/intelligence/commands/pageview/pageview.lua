-- Counts one page view and reads what there is to know (white paper, "Activity Pattern Monitoring").
-- keys     all that is kept of a session, and gone
-- message  item: the page as bloom_add() takes it; page; token: by which the request is known again (see ring_counted()); days
--          of activity kept; again: was it sent before, by a call that got no answer
-- Answer   the report as JSON. Of a call that is sent again, what the lost one counted is reported: whether the page was new is
--          known where all pages were
local tails = {} -- of this call's reports
local function tail_of(fresh, new, bits) -- bits: the five minutes, oldest first, and this one
  local key = bits + (fresh == 1 and 64 or 0) + (new and 128 or 0)
  if not tails[key] then
    local five = {}
    for i = 1, 5 do five[i] = bit.band(bit.rshift(bits, 6 - i), 1) end
    tails[key] = ',"previouslyVisited":' .. (fresh == 0 and 'true' or 'false') ..
      ',"activityThisMinute":' .. (bits % 2 == 1 and 'true' or 'false') ..
      ',"activity":[' .. table.concat(five, ',') ..
      '],"newToSite":' .. (new and 'true' or 'false') ..
      ',"inactive":' .. (bits < 2 and 'true' or 'false') .. '}'
  end
  return tails[key]
end

local function counted_before(data, first, last, views, unique, slots)
  local now = clock()
  local bits = 0
  if views > 1 and ring_fits(data, first, last, slots) then
    local minute = (now - now % 60) / 60
    for ago = 5, 0, -1 do bits = bits * 2 + ring_bit(data, first, last, slots, minute - ago) end
  end
  local fresh = unique == views and 1 or 0
  return '{"totalPages":' .. views .. ',"uniquePages":' .. unique .. tail_of(fresh, unique == 1 and fresh == 1, bits)
end

commands['pageview'] = function(keys, message)
  local activity, pages, visited = keys.activity, keys.pages, keys.visited
  local token, slots, ttl = message.token, message.days + 1, message.ttl

  -- all types are known before the first write: a key of another type leaves all as it was
  local data = redis.call('GET', activity) or ''
  local first, last, views, unique, expires = ring_head(data)
  if not first then
    -- where something is known already, the session is not destroyed
    if redis.call('EXISTS', keys.gone) == 1 then return nil, 'gone' end
  elseif ring_counted(data, token) then
    if message.again then return counted_before(data, first, last, views, unique, slots) end
    return nil, 'duplicate'
  end
  local exists = bloom_check(visited)
  local added = redis.call('PFADD', pages, message.page) -- writes nothing where it is no HyperLogLog
  local fresh = bloom_add(visited, message.item, exists)

  local now = clock()
  local minute = (now - now % 60) / 60
  local today = (minute - minute % 1440) / 1440
  -- Expiries are renewed where the keys would be gone before the session, or where one may be new.
  local renew = not first or expires - now < ttl / 1000 + 1 or not exists or (fresh == 1 and added == 0)
  if added == 1 or not first then
    local count = redis.call('PFCOUNT', pages)
    renew = renew or count <= unique
    unique = count
  end
  views = (views or 0) + 1
  if renew then expires = now + math.floor(kept_for(ttl) / 1000) end

  local marks = token .. (first and data:sub(MARKS_AT + 1, HEAD - MARK) or ('\0'):rep(MARKS - MARK))
  local counts = struct.pack('<I4I4I4', views, unique, expires)
  if not first or today - last >= slots or today < first or not ring_fits(data, first, last, slots) then
    first, last = today, today
    data = RING_VERSION .. struct.pack('<I4I4', today, today) .. counts .. marks .. ('\0'):rep(DAY)
    redis.call('SET', activity, data, 'KEEPTTL')
    renew = true
  elseif today > last then
    -- the days since then, up to the ring's end, and from its beginning
    local slot, days = ring_slot(first, slots, last + 1), today - last
    local here = math.min(days, slots - (slot - HEAD) / DAY)
    data = data:sub(1, slot) .. ('\0'):rep(here * DAY) .. data:sub(slot + here * DAY + 1)
    if days > here then
      data = data:sub(1, HEAD) .. ('\0'):rep((days - here) * DAY) .. data:sub(HEAD + (days - here) * DAY + 1)
    end
    last = today
    -- written at its exact size: a string that grows by SETRANGE takes up to twice as much
    redis.call('SET', activity, RING_VERSION .. struct.pack('<I4I4', first, last) .. counts .. marks .. data:sub(HEAD + 1), 'KEEPTTL')
  else
    redis.call('SETRANGE', activity, 9, counts .. marks)
  end

  local bits = ring_six(data, first, last, slots, minute)
  if bits % 2 == 0 then
    redis.call('SETBIT', activity, ring_slot(first, slots, today) * 8 + minute % 1440, 1)
  end
  if renew then
    local keep = kept_for(ttl)
    for _, name in ipairs(KEPT) do keep_for(keys[name], keep) end
  end
  if not message.waits then return end
  return '{"totalPages":' .. views .. ',"uniquePages":' .. unique .. tail_of(fresh, unique == 1 and fresh == 1, bits)
end
