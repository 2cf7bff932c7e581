-- Adds a notification to the filter of those that were seen, and renews the filter's expiry to that of the session.
-- keys     notified, notified-items, gone
-- message  item: the id as bloom_add() takes it; id: the id as it is stored; isAnonymous: is this an anonymous visitor, whose data may
--          be carried to a user later
-- Answer   1 if the notification was unread, else 0
commands['mark-notification-seen'] = function(keys, message)
  local exists = bloom_check(keys.notified)
  if not exists or message.isUser then
    local ended, to = has_ended(keys.gone, message)
    if ended then return nil, ended, to end
  end
  local added = bloom_add(keys.notified, message.item, exists)
  keep_for(keys.notified, kept_for(message.ttl))
  if added == 1 and message.isAnonymous then
    note_item(keys['notified-items'], message.id)
    keep_for(keys['notified-items'], kept_for(message.ttl))
  end
  return tostring(added)
end
