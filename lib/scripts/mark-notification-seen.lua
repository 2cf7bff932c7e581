-- Adds a notification to those seen; the filter then expires with the session.
-- k  notified
-- a  the id as bloom_add takes it
-- Reply 1 if it was not there, else 0
commands['mark-notification-seen'] = function(k, a, _, ttl)
  local added = bloom_add(KEYS[k], ARGV[a], bloom_check(KEYS[k]))
  redis.call('PEXPIRE', KEYS[k], ttl)
  return tostring(added)
end
