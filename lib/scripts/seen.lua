-- Which items may be in a filter. The Bloom filter's functions stand before this text.
-- KEYS  the filter
-- ARGV  items as bloom_exists takes them
-- Reply 0 or 1 for each
local reply = {}
if redis.call('EXISTS', KEYS[1]) == 1 then bloom_check(KEYS[1]) end
for i = 1, #ARGV do reply[i] = bloom_exists(KEYS[1], ARGV[i]) end
return reply
