-- A function that pushes answers to a list, for the scripts of acknowledge-and-push.lua and push.ts. It pushes only to a new
-- list, or one that a worker has made: one that never expires, or later than a worker would let it, is somebody else's. A list
-- of one request gets one push only.
-- The script defines before these lines REPLY_TTL_MS: after how many ms a list of one request expires (protocol.ts).
local redis = redis -- a local is found faster than a global
local RENEWED_LENGTH = 1000 -- a list of more answers is not being drained: its expiry is no longer renewed
local MAX_LENGTH = 10000 -- of a longer list the oldest answers are removed

-- Takes the key; the list's expiry in ms; the texts to push. Gives an error's text, or nil and how many were there before.
local function push_answers(key, ttl, answers)
  local left = redis.call('PTTL', key) -- -2: there is no list, -1: it never expires
  local exists = left ~= -2
  if exists and (ttl == REPLY_TTL_MS or left == -1 or left > ttl) then return 'a list that is not ours stands where answers go' end
  local length = redis.pcall('RPUSH', key, unpack(answers))
  if type(length) == 'table' then return length.err end
  local length_before = length - #answers
  if length_before < RENEWED_LENGTH then redis.call('PEXPIRE', key, ttl) end
  if length > MAX_LENGTH then redis.call('LTRIM', key, -MAX_LENGTH, -1) end
  return nil, length_before
end
