-- Merges into a user's keys the values that set-aside.lua gave, in a Cluster. A call that is repeated merges nothing twice: the sorted set
-- `merged` has what was merged, each with the time (seconds since 1970) until which it is remembered.
-- KEYS   of the user: own, gone, merged
-- ARGV   [1] as JSON: aside, a text with the anonymous subject and the id that set-aside.lua gave; names and merges, two lists of equal
--        length; ttl of the user's data in ms; asideMs: how long that is remembered, ms
--        [2 …] the values, as DUMP gave them
-- Reply  how many keys were merged, then the names that could not be merged, each with the reason
local own, gone, merged = KEYS[1], KEYS[2], KEYS[3]
local message = messages
redis.call('ZREMRANGEBYSCORE', merged, '-inf', clock())
if redis.call('ZSCORE', merged, message.aside) or redis.call('GET', gone) then return { 0 } end
local function aside_of(name) return own .. ':' .. name .. ':aside' end
for i, name in ipairs(message.names) do
  redis.call('RESTORE', aside_of(name), message.asideMs, ARGV[1 + i], 'REPLACE')
end
redis.call('ZADD', merged, clock() + math.ceil(message.asideMs / 1000), message.aside)
lengthen(merged, message.asideMs)
return { #message.names, unpack(merge_all(own, message.names, message.merges, aside_of, message.ttl)) }
