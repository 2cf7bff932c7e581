-- Writes a key's expiry again without changing it, so that there is a write for WAIT to count: WAIT counts what its own connection has
-- written, and a call that finds that Redis already has everything writes nothing.
-- KEYS  the key
-- Reply the key's PTTL, ms; less than 0 where it has no expiry, or there is no such key
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return left
