-- A function that pushes answers to a list. It stands before acknowledge-and-push.lua, and in a script of its own (push.ts). Only a list
-- that a worker has made is pushed to: one that never expires, or later than a worker lets it, is somebody else's; and a list of one
-- request is made once.
local redis = redis
local SHORT, LONGEST = 1000, 10000

-- Takes the key; its expiry in ms (500: a list of one request); the answers. Gives what is wrong, or nothing; how many were there before.
local function push_answers(key, ttl, answers)
  local left = redis.call('PTTL', key)
  if left ~= -2 and (ttl == 500 or left == -1 or left > ttl) then return 'a list that is not ours stands where answers go' end
  local pushed = redis.pcall('RPUSH', key, unpack(answers))
  if type(pushed) == 'table' then return pushed.err end
  -- Nobody drains a list that is longer than this, so that it may expire.
  if pushed - #answers < SHORT then redis.call('PEXPIRE', key, ttl) end
  if pushed > LONGEST then redis.call('LTRIM', key, -LONGEST, -1) end
  return nil, pushed - #answers
end
