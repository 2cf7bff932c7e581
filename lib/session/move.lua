-- Ends an id of a session that stands under another one already: the id's tombstone says for a while where the session went.
-- KEYS  the session under its old id; that id's tombstone
-- ARGV  the value as it was read; where the session went; how long that is known, ms
-- Reply where it went, by this call or by an earlier one; 1 if it was saved meanwhile, and stays; 0 if it is gone
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] then return 1 end
if not now then return redis.call('GET', KEYS[2]) or 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('UNLINK', KEYS[1])
return ARGV[2]
