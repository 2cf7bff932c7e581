-- Takes over what was read from a partition and not finished, in its order. What was taken many times is given up: it may
-- be what ends its workers.
-- KEYS  stream
-- ARGV  group; consumer; after which entry ('-': from the first); how many at most; how many times at most
-- Reply the last entry looked at (or '' where there are no more); entries; how many were given up
local from = ARGV[3] == '-' and '-' or '(' .. ARGV[3]
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', ARGV[4])
local ids, given, last = {}, 0, ''
for i = 1, #pending do
  last = pending[i][1]
  if pending[i][4] < tonumber(ARGV[5]) then
    ids[#ids + 1] = last
  else
    redis.call('XACK', KEYS[1], ARGV[1], last)
    given = given + 1
  end
end
local entries = {}
if #ids > 0 then
  for _, entry in ipairs(redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))) do
    if entry then entries[#entries + 1] = entry end -- before Redis 7 one that was deleted is nil
  end
end
return { last, entries, given }
