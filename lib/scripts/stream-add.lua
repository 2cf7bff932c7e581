-- Adds messages to partitions, each up to its bound: what nobody has read is never trimmed, what comes over it is refused.
-- KEYS  of each partition: stream; its worker's lease
-- ARGV  the bound; then of each message: partition, 1 for the first two keys; request; payload
-- Reply of each message: 0 refused, 1 added and no worker reads there, 2 added
local room, worker, reply = {}, {}, {}
for i = 2, #ARGV, 3 do
  local p = tonumber(ARGV[i])
  local stream = KEYS[p * 2 - 1]
  if not room[p] then
    room[p] = tonumber(ARGV[1]) - redis.call('XLEN', stream)
    worker[p] = redis.call('EXISTS', KEYS[p * 2])
  end
  if room[p] > 0 then
    redis.call('XADD', stream, '*', 'r', ARGV[i + 1], 'p', ARGV[i + 2])
    room[p] = room[p] - 1
    reply[#reply + 1] = 1 + worker[p]
  else
    reply[#reply + 1] = 0
  end
end
return reply
