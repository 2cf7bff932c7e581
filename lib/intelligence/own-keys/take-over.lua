-- Merges into a user's keys what set-aside.lua gave, in a Cluster. Once: what was merged is noted beside what else was carried.
-- KEYS   of the user's: own, gone, merged
-- ARGV   [1] as JSON: aside, what tells the anonymous subject and the setting aside; names and merges; ttl in ms; asideMs
--        [2 …] the values, as DUMP gave them
-- Reply  how many were merged, then what could not be
local own, gone, merged = KEYS[1], KEYS[2], KEYS[3]
local message = messages
redis.call('ZREMRANGEBYSCORE', merged, '-inf', clock())
if redis.call('ZSCORE', merged, message.aside) or redis.call('GET', gone) then return { 0 } end
local function aside_of(name) return own .. ':' .. name .. ':aside' end
for i, name in ipairs(message.names) do
  redis.call('RESTORE', aside_of(name), message.asideMs, ARGV[1 + i], 'REPLACE')
end
redis.call('ZADD', merged, clock() + math.ceil(message.asideMs / 1000), message.aside)
keep_for(merged, message.asideMs)
return { #message.names, unpack(merge_all(own, message.names, message.merges, aside_of, message.ttl)) }
