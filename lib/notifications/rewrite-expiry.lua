-- Writes a key's expiry as it is, for the replication: WAIT counts what its own connection has written, and a write that finds that
-- everything stands there already writes nothing.
-- KEYS  the key
-- Reply the milliseconds that it has left; less than 0 where it has no expiry, or is not there
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return left
