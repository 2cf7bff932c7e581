-- Ends a session, and leaves a tombstone for a while, upon which save-unanswered.lua does not store the session again.
-- KEYS  the session; its tombstone
-- ARGV  how long the tombstone stays, ms; what the reply is: count, value, or value-or-next
-- Reply count: how many there were, 0 or 1. value: the value that was there, or nil. value-or-next: the same, but where the
--       session has another id by now, a list with the tombstone's value, which names that id
local asked = ARGV[2]
local moved = asked == 'value-or-next' and redis.call('GET', KEYS[2])
redis.pcall('SET', KEYS[2], '', 'PX', ARGV[1]) -- a Redis without memory left still logs out
if asked == 'count' then return redis.call('UNLINK', KEYS[1]) end
if asked == 'value' then return redis.call('GETDEL', KEYS[1]) end
local value = redis.call('GET', KEYS[1])
redis.call('UNLINK', KEYS[1])
if not value and moved and moved ~= '' then return { moved } end -- an empty one: it has ended
return value
