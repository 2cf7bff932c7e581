-- Makes what is kept of a session live as long as the session. It creates nothing, and shortens nothing.
-- KEYS  all that is kept of the session
-- ARGV  ttl of the session in ms
-- Reply how long all that is there will be, in ms; 0 where nothing is
local ttl, least = tonumber(ARGV[1]), 0
for i = 1, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  if left >= 0 and left < ttl then
    left = ttl + math.ceil(ttl / 16) -- as kept_for() of prelude.lua
    redis.call('PEXPIRE', KEYS[i], left)
  end
  if left >= 0 and (least == 0 or left < least) then least = left end
end
return least
