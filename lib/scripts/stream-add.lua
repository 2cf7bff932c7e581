-- Adds messages to a partition, up to its bound: what nobody has read is never trimmed, what comes over it is refused.
-- KEYS  stream; its worker's lease
-- ARGV  the bound; then of each message: request, payload
-- Reply is there a worker, 0 or 1; how many were added, from the first on
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local added = 0
for i = 2, #ARGV, 2 do
  if added >= room then break end
  redis.call('XADD', KEYS[1], '*', 'r', ARGV[i], 'p', ARGV[i + 1])
  added = added + 1
end
return { redis.call('EXISTS', KEYS[2]), added }
