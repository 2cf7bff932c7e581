-- Renews a session's expiry; its stored cookie moves only where nobody saved the session meanwhile.
-- KEYS  the session
-- ARGV  the value as it was read; the value with the new cookie; ttl in ms
-- Reply 1 if the value was replaced
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
