-- Shortens the life of a session's old id, after a request has come with the new one.
-- KEYS  the tombstone of the old id, which holds the new id (empty: ended)
-- ARGV  how long the tombstone still leads to the new id, ms
local new_id = redis.call('GET', KEYS[1])
if new_id and new_id ~= '' and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
