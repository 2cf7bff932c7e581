-- Removes from a visitor's `seen` the fields that were added to the user's. A field that has changed since stays, and is carried next time.
-- KEYS  seen of the visitor
-- ARGV  fields and values by turns, as they were read
-- Reply how many fields were removed
local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return removed
