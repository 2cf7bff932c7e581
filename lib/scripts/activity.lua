-- The last minutes before the current one, oldest first.
-- k  activity
-- a  how many minutes; days kept
-- Reply a JSON array of as many 0 and 1
commands['activity'] = function(k, a)
  local minutes, slots = tonumber(ARGV[a]), tonumber(ARGV[a + 1]) + 1
  local data = redis.call('GET', KEYS[k]) or ''
  local first, last = ring_head(data)
  if first and not ring_fits(data, first, last, slots) then first = nil end
  local now, out = math.floor(clock() / 60), {}
  for ago = minutes, 1, -1 do
    out[#out + 1] = first and ring_bit(data, first, last, slots, now - ago) or 0
  end
  return '[' .. table.concat(out, ',') .. ']'
end
