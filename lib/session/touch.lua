-- Renews a session's expiry. The stored cookie is renewed, too, if nobody saved the session meanwhile: a save that came between
-- is not undone, and the expiry that this save set is not shortened.
-- KEYS  the session
-- ARGV  the value as it was read; the value with the new cookie; ttl in ms
-- Reply 1 if the value was replaced, 0 if Redis holds another value or is full, -1 if the session is gone
local now = redis.call('GET', KEYS[1])
if not now then return -1 end
if now == ARGV[1] then
  -- a Redis that is full refuses a SET and takes a PEXPIRE: no visitor who is there is logged out
  if not redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]).err then return 1 end
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 0
