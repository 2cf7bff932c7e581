-- Publishes some messages, in their order.
-- ARGV  channel and payload, by turns
-- Reply of each, how many heard it
local heard = {}
for i = 1, #ARGV, 2 do heard[#heard + 1] = redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return heard
