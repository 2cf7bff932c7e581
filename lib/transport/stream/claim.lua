-- Claims what was delivered of a partition and never finished, in its order. An entry that was delivered many times is given
-- up: it may be what makes its workers crash. One that is this worker's already is only read, so as not to be counted again.
-- KEYS  stream
-- ARGV  group; consumer; the entry after which to begin ('-': the first); how many entries to look at, at most; how often an entry is
--       delivered at most
-- Reply the last entry looked at (or '' where there are no more); entries; how many were given up; Redis' clock (TIME)
local from = ARGV[3] == '-' and '-' or '(' .. ARGV[3]
local entries, given_up, last = {}, 0, ''
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', ARGV[4])) do
  last = pending[1] -- its id; [2] is its consumer, [4] how often it was delivered
  local found
  if pending[2] == ARGV[2] then
    found = redis.call('XRANGE', KEYS[1], last, last)
  elseif pending[4] < tonumber(ARGV[5]) then
    found = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, last)
  else
    given_up = given_up + 1
  end
  if found and found[1] then
    entries[#entries + 1] = found[1]
  else -- given up, or removed from the stream meanwhile
    redis.call('XACK', KEYS[1], ARGV[1], last)
  end
end
return { last, entries, given_up, redis.call('TIME') }
