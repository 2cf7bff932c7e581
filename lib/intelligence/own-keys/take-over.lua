-- In a Cluster, merges the values that set-aside.lua gave into a user's keys. A call that is repeated merges nothing: the
-- sorted set `merged` has the `aside` of each, scored by when it is forgotten (seconds since 1970).
-- KEYS   of the user: own, gone, activity, merged
-- ARGV   [1] as JSON, in `messages`: aside, a text with the anonymous subject and the id that set-aside.lua gave; names and
--        merges (note-own.lua); ttl of the user's data in ms; asideMs: how long `merged` has `aside`
--        [2 …] the values, as DUMP gave them
-- Reply  how many keys were merged, then the names that could not be merged, each with the reason
local own, gone, activity, merged = unpack(KEYS)
local message = messages
redis.call('ZREMRANGEBYSCORE', merged, '-inf', clock())
-- two clocks don't tell what came after an erasure: while `gone` is there, nothing is merged
if redis.call('ZSCORE', merged, message.aside) or redis.call('GET', gone) then return { 0 } end
local function aside_key(name) return own .. ':' .. name .. ':aside' end
for i, name in ipairs(message.names) do
  redis.call('RESTORE', aside_key(name), message.asideMs, ARGV[1 + i], 'REPLACE')
end
redis.call('ZADD', merged, clock() + math.ceil(message.asideMs / 1000), message.aside)
lengthen(merged, message.asideMs)
return { #message.names, unpack(merge_all(own, activity, message.names, message.merges, aside_key, message.ttl)) }
