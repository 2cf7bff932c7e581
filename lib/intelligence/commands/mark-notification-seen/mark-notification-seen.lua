-- Adds a notification to those seen; the filter then expires with the session.
-- k  notified, gone
-- a  the id as bloom_add takes it
-- Reply 1 if it was not there, else 0; GONE where the session was destroyed
commands['mark-notification-seen'] = function(k, a, _, ttl)
  local exists = bloom_check(KEYS[k])
  if not exists and redis.call('EXISTS', KEYS[k + 1]) == 1 then return GONE end
  local added = bloom_add(KEYS[k], ARGV[a], exists)
  keep_for(KEYS[k], kept_for(ttl))
  return tostring(added)
end
