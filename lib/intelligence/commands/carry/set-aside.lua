-- Moves the data about an anonymous visitor who has logged in to the key `carried`, from which take-over.lua adds it to the user's data.
-- From now on `gone` names the user, so that later messages about the visitor count for the user.
-- KEYS   of the anonymous subject: carried, gone, activity, pages, visited, visited-items, notified, notified-items
-- ARGV   the user's subject; how long `gone` stays, in ms; how long `carried` stays, in ms
-- Reply  the values of activity, pages, visited-items and notified-items, each a string, '' where there was none; nil where
--        there is nothing to carry to this user. A repeated call replies the same, until take-over.lua has removed `carried`.
local carried, gone, user = KEYS[1], KEYS[2], ARGV[1]
local to = redis.call('GET', gone)
if to and to ~= user then return false end -- the session was destroyed, or its data went to another user
local aside = redis.call('HMGET', carried, 'user', 'activity', 'pages', 'visited', 'notified')
if aside[1] then return aside[1] == user and { aside[2], aside[3], aside[4], aside[5] } or false end

local kept = {} -- in the hash `carried` the lists have the names of their filters
for i, key in ipairs({ KEYS[3], KEYS[4], KEYS[6], KEYS[8] }) do kept[i] = redis.call('GET', key) or '' end
redis.call('SET', gone, user, 'PX', ARGV[2])
-- neither page views nor notifications
if kept[1] == '' and kept[4] == '' and redis.call('EXISTS', KEYS[7]) == 0 then return false end
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', carried, 'user', user, 'at', ('%.0f'):format(at), 'activity', kept[1], 'pages', kept[2], 'visited', kept[3], 'notified', kept[4])
redis.call('PEXPIRE', carried, ARGV[3])
-- each key by a command of its own: an ACL may allow each of them in another selector
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
return kept
