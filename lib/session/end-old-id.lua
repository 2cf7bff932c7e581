-- A session's new id has come back: the old one, which leads to it, ends soon.
-- KEYS  the tombstone of the old id
-- ARGV  how long it still leads there, ms
local went = redis.call('GET', KEYS[1])
if went and went ~= '' and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
