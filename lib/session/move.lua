-- Ends the old id of a session that is already stored under its new id: a tombstone takes its place.
-- KEYS  the session under its old id; the tombstone of the old id
-- ARGV  the value as it was read; the tombstone's value, which names the new id; how long the tombstone stays, ms
-- Reply the tombstone's value, from this call or an earlier one; 1 if the session was saved meanwhile under its old id, which
--       stays; 0 or an empty value if it is gone
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] then return 1 end
if not now then return redis.call('GET', KEYS[2]) or 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('UNLINK', KEYS[1])
return ARGV[2]
