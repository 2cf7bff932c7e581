-- Pushes answers where somebody waits for them, to stand before acknowledge-and-push.lua and in a script of its own (replies.ts). A list is made
-- here or left alone: what never expires, or later than it would by us, is somebody else's, and a list a request is made once.
local redis = redis
local SHORT, LONGEST = 1000, 10000

-- key; its expiry in ms (500: a list a request); the answers. Gives what is wrong, or nothing; how many were there before
local function push_answers(key, ttl, answers)
  local left = redis.call('PTTL', key)
  if left ~= -2 and (ttl == 500 or left == -1 or left > ttl) then return 'a list that is not ours stands where answers go' end
  local pushed = redis.pcall('RPUSH', key, unpack(answers))
  if type(pushed) == 'table' then return pushed.err end
  -- nobody drains a list that stays longer than this: it may go
  if pushed - #answers < SHORT then redis.call('PEXPIRE', key, ttl) end
  if pushed > LONGEST then redis.call('LTRIM', key, -LONGEST, -1) end
  return nil, pushed - #answers
end
