-- Adds messages to partitions. A message over a partition's bounds is refused, since what nobody has read is never trimmed.
-- KEYS  of each partition: stream; its worker's lease
-- ARGV  a partition's bounds: how many messages, and how many bytes (by MEMORY USAGE, which estimates them); the messages' maximum age in ms,
--       after which a stream that nobody adds to and no worker reads is gone; then of each message: its partition's number among KEYS, 1
--       for the first two keys; the request; the payload
-- Reply of each message: 0 refused (also where a forged id has used up all ids, until a worker makes the stream anew); 1 added, and no
--       worker reads there; 2 added, and one does; 3 added, and the partition passes from one worker to another (lease.lua); or an error,
--       where the key holds no stream: the other partitions go on

-- By the partition's number: for how many messages and bytes there is room, and what is replied for a message that is added.
local room, bytes, added_as = {}, {}, {}
local wrong = {} -- the error of a partition whose key holds no stream
local reply = {}
for i = 4, #ARGV, 3 do
  local p = tonumber(ARGV[i])
  local stream = KEYS[p * 2 - 1]
  if not room[p] then
    local length = redis.pcall('XLEN', stream)
    if type(length) == 'table' then wrong[p], length = length, 0 end
    room[p] = tonumber(ARGV[1]) - length
    bytes[p] = tonumber(ARGV[2]) - (redis.call('MEMORY', 'USAGE', stream) or 0)
    local worker = redis.pcall('GET', KEYS[p * 2])
    if type(worker) == 'table' then -- an error
      if not worker.err:find('WRONGTYPE', 1, true) then return worker end
      worker = false -- a key of another type is no lease
    end
    added_as[p] = not worker and 1 or worker ~= '' and 2 or 3
  end
  local size = #ARGV[i + 1] + #ARGV[i + 2]
  if wrong[p] then
    reply[#reply + 1] = wrong[p]
  elseif room[p] > 0 and bytes[p] >= size then
    local added = redis.pcall('XADD', stream, '*', 'r1', ARGV[i + 1], 'p', ARGV[i + 2])
    local refused = type(added) == 'table' and added.err
    if refused and not refused:find('exhausted', 1, true) then return added end
    room[p] = refused and 0 or room[p] - 1
    bytes[p] = bytes[p] - size
    reply[#reply + 1] = refused and 0 or added_as[p]
  else
    reply[#reply + 1] = 0
  end
end
for p in pairs(room) do
  if not wrong[p] then redis.call('PEXPIRE', KEYS[p * 2 - 1], ARGV[3]) end
end
return reply
