-- Saves sessions, each only if Redis still holds the value that was read: nobody's change is lost, and no destroyed session comes back.
-- KEYS  the sessions
-- ARGV  for each session: the value as it was read; the new value; ttl in ms, 0: none, -1: the ttl that the key has
-- Reply for each session: 1 if it was saved, 0 if it is gone, else the value that Redis holds, or Redis' error
local reply = {}
for i = 1, #KEYS do
  local read, new, ttl = ARGV[i * 3 - 2], ARGV[i * 3 - 1], ARGV[i * 3]
  local now = redis.pcall('GET', KEYS[i])
  if now == read or now == new then -- Redis holds the new value already where a Cluster's client has sent this call twice
    local set
    if ttl == '0' then
      set = redis.pcall('SET', KEYS[i], new)
    elseif ttl == '-1' then
      set = redis.pcall('SET', KEYS[i], new, 'KEEPTTL')
    else
      set = redis.pcall('SET', KEYS[i], new, 'PX', ttl)
    end
    reply[i] = set.ok and 1 or set
  else
    reply[i] = now or 0
  end
end
return reply
