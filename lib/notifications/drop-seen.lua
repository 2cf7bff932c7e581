-- Removes of what a visitor had read what was added to a user's. What has changed since stays, and is carried next time.
-- KEYS  of the visitor: seen
-- ARGV  fields and values by turns, as they were read
-- Reply how many fields were removed
local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return removed
