-- Adds an item to a filter that expires with the session. The Bloom filter's functions stand before this text.
-- KEYS  the filter
-- ARGV  the item as bloom_add takes it; ttl in ms
-- Reply 1 if it was not there
local added = bloom_add(KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return added
