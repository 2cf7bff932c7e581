-- Saves a session where it still is what was read: nobody's change is lost, and no destroyed session comes back.
-- KEYS  the session
-- ARGV  the value as it was read; the new value; ttl in ms, 0: none
-- Reply 1 if it was saved, 0 if the session is gone, else the value that stands there
local now = redis.call('GET', KEYS[1])
if not now then return 0 end
if now ~= ARGV[1] then return now end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
