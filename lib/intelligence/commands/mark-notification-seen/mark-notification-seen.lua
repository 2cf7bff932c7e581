-- Adds a notification to those seen; the filter then expires with the session.
-- keys     notified, gone
-- message  item: the id as bloom_add() takes it
-- Answer   1 if it was not there, else 0
commands['mark-notification-seen'] = function(keys, message)
  local exists = bloom_check(keys.notified)
  if not exists and redis.call('EXISTS', keys.gone) == 1 then return nil, 'gone' end
  local added = bloom_add(keys.notified, message.item, exists)
  keep_for(keys.notified, kept_for(message.ttl))
  return tostring(added)
end
