-- Makes what is kept of a session live as long as the session. It creates nothing, and shortens nothing.
-- KEYS  all that is kept of the session; the last is own, the hash of the names of the application's keys
-- ARGV  ttl of the session in ms
-- Reply after how many ms the first key that is there expires; 0 where none is
local ttl, least = tonumber(ARGV[1]), 0
local function renew(key)
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ttl then
    left = ttl + math.ceil(ttl / 16) -- as kept_for() of prelude.lua
    redis.call('PEXPIRE', key, left)
  end
  if left >= 0 and (least == 0 or left < least) then least = left end
end
for i = 1, #KEYS do renew(KEYS[i]) end
local own = KEYS[#KEYS]
for _, name in ipairs(redis.call('HKEYS', own)) do renew(own .. ':' .. name) end
return least
