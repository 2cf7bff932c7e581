-- Removes a notification, visible or scheduled, from its list. publish.lua says what a list looks like.
-- KEYS  the list, a hash
-- ARGV  the notification's id; the channel of the list's changes
-- Reply 1 removed, 0 the list did not have it, or it had expired, -2 the list has another form; then the error of PUBLISH, or ''
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.call('HMGET', KEYS[1], ':', ARGV[1])
if not stored[1] or not stored[2] then return { 0, '' } end
local expires = string.match(stored[2], '^%d+ (%d+) ')
if not string.match(stored[1], '^1 %d+$') or not expires then return { -2, '' } end
redis.call('HDEL', KEYS[1], ARGV[1])
if tonumber(expires) <= now then return { 0, '' } end
-- the change is published last: only an ACL can refuse that, and then the notification stays removed
local told = redis.pcall('PUBLISH', ARGV[2], '{"type":"changed"}')
return { 1, type(told) == 'table' and told.err or '' }
