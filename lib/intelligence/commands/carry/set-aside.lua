-- Sets aside what is kept of an anonymous visitor who has logged in. What comes for the visitor from now on is the user's.
-- KEYS   of the anonymous subject: carried, gone, activity, pages, visited, visited-items, notified, notified-items
-- ARGV   the user's subject; how long `gone` stays, and how long `carried`, in ms
-- Reply  activity, pages, visited-items and notified-items as they were, each a string, '' where there was none; nothing where there is
--        nothing to carry to this user. The same again, until take-over.lua has taken it.
local carried, gone, user = KEYS[1], KEYS[2], ARGV[1]
local to = redis.call('GET', gone)
if to and to ~= user then return false end -- it was destroyed, or is another user's
local aside = redis.call('HMGET', carried, 'user', 'activity', 'pages', 'visited', 'notified')
if aside[1] then return aside[1] == user and { aside[2], aside[3], aside[4], aside[5] } or false end

local kept = {}
for i, key in ipairs({ KEYS[3], KEYS[4], KEYS[6], KEYS[8] }) do kept[i] = redis.call('GET', key) or '' end
redis.call('SET', gone, user, 'PX', ARGV[2])
if kept[1] == '' and kept[4] == '' and redis.call('EXISTS', KEYS[7]) == 0 then return false end
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', carried, 'user', user, 'at', ('%.0f'):format(at), 'activity', kept[1], 'pages', kept[2], 'visited', kept[3], 'notified', kept[4])
redis.call('PEXPIRE', carried, ARGV[3])
-- one by one: an ACL's rights are each key's own
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
return kept
