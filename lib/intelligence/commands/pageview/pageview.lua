-- Counts one page view and reads what there is to know (white paper, "Activity Pattern Monitoring").
-- k  activity, pages, visited, notified, gone
-- a  page as bloom_add takes it; page; mark of the request (see ring_counted()); days kept
-- Reply the report as JSON, AGAIN where this request was counted before, or GONE where the session was destroyed. Of a call
--       that is sent again, what the lost one counted is reported: whether the page was new is known where all pages were
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

commands['pageview'] = function(k, a, _, ttl, wanted, sent_again)
  local activity, pages, visited = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local mark, slots = ARGV[a + 2], tonumber(ARGV[a + 3]) + 1

  -- all types are known before the first write: a key of another type leaves all as it was
  local data = redis.call('GET', activity) or ''
  local first, last, views, unique, expires = ring_head(data)
  if not first then
    -- where something is known already, the session is not destroyed
    if redis.call('EXISTS', KEYS[k + 4]) == 1 then return GONE end
  elseif ring_counted(data, mark) then
    return sent_again and counted_before(data, first, last, views, unique, slots) or AGAIN
  end
  local exists = bloom_check(visited)
  local added = redis.call('PFADD', pages, ARGV[a + 1]) -- writes nothing where it is no HyperLogLog
  local fresh = bloom_add(visited, ARGV[a], exists)

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

  local marks = mark .. (first and data:sub(MARKS_AT + 1, HEAD - MARK) or ('\0'):rep(MARKS - MARK))
  local counts = struct.pack('<I4I4I4', views, unique, expires)
  if not first or today - last >= slots or today < first or not ring_fits(data, first, last, slots) then
    first, last = today, today
    data = struct.pack('<I4I4', today, today) .. counts .. marks .. ('\0'):rep(DAY)
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
    redis.call('SET', activity, struct.pack('<I4I4', first, last) .. counts .. marks .. data:sub(HEAD + 1), 'KEEPTTL')
  else
    redis.call('SETRANGE', activity, 8, counts .. marks)
  end

  local bits = ring_six(data, first, last, slots, minute)
  if bits % 2 == 0 then
    redis.call('SETBIT', activity, ring_slot(first, slots, today) * 8 + minute % 1440, 1)
  end
  if renew then
    local keep = kept_for(ttl)
    for i = k, k + 3 do keep_for(KEYS[i], keep) end
  end
  if not wanted then return end
  return '{"totalPages":' .. views .. ',"uniquePages":' .. unique .. tail_of(fresh, unique == 1 and fresh == 1, bits)
end
