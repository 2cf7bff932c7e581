-- Adds a notification to the filter of those that were seen, and renews the filter's expiry to that of the session.
-- keys     notified: that Bloom filter; notified-items: the ids in it as a list, of an anonymous visitor; gone: says that the subject has
--          ended (has_ended() in prelude.lua); activity: its expiry says how long a user is kept
-- message  item: the id as bloom_add() takes it; id: the id as it is stored in the list; isAnonymous: is this an anonymous visitor, whose
--          data may be carried to a user later; isUser: is this a user, whose data go on after they were erased; ttl: of the session, ms
-- Answer   1 if the notification was unread, else 0; or an outcome of has_ended()
commands['mark-notification-seen'] = function(keys, message)
  local had_filter = bloom_check(keys.notified)
  if not had_filter or message.isUser then
    local ended, to = has_ended(keys.gone, message)
    if ended then return nil, ended, to end
  end
  local added = bloom_add(keys.notified, message.item, had_filter)
  local keep_ms = kept_for(message.ttl)
  -- The message may have been sent for a visitor who has logged in since: then its ttl is that of the visitor's session.
  if message.isUser then keep_ms = math.max(keep_ms, redis.call('PTTL', keys.activity)) end
  lengthen(keys.notified, keep_ms)
  if added == 1 and message.isAnonymous then
    note_item(keys['notified-items'], message.id)
    lengthen(keys['notified-items'], keep_ms)
  end
  return tostring(added)
end
