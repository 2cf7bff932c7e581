-- Saves a new session again whose earlier saves got no answer. Redis may have stored it or not, or it was destroyed since.
-- KEYS  the session; its tombstone
-- ARGV  the new value; ttl in ms, 0: none; 1 if an absent session is saved, too, else 0; the values that got no answer
-- Reply 1 if it was saved, 0 if it is gone, else the value that Redis holds
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local now = redis.call('GET', KEYS[1])
local is_ours = now == ARGV[1] or (not now and ARGV[3] == '1')
for i = 4, #ARGV do is_ours = is_ours or now == ARGV[i] end
if not is_ours then return now or 0 end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
