-- Takes or renews the lease of a partition, or gives it back.
-- KEYS  the lease: the id of the worker that reads the partition; '' while the partition passes from one worker to another
-- ARGV  the worker's id; take, or to give it back: pass (other workers are there) or leave (none is); how long a lease lasts, ms; how long
--       the key stays, ms. A lease that was not renewed in time has lapsed, and another worker may take it. Its key stays for longer, since
--       the worker may only have been busy: whoever publishes goes on waiting for it.
-- Reply Redis' clock (TIME) if the worker now has the lease, else nothing
local id, action, lasts, stays = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' then -- an error
  if not holder.err:find('WRONGTYPE', 1, true) then return holder end
  holder = false -- a key of another type is no lease
end
if action == 'take' then
  if holder and holder ~= '' and holder ~= id then
    local left = redis.call('PTTL', KEYS[1])
    -- One that stays for longer was given while Redis' clock was ahead (another master's, before a failover): its worker renews it anew.
    if left > stays - lasts and left <= stays then return end
  end
elseif holder ~= id then
  return
end
-- A Redis that is full refuses SET as a script's first write, and allows it after another one.
redis.call('DEL', KEYS[1])
if action == 'pass' then redis.call('SET', KEYS[1], '', 'PX', stays) end
if action ~= 'take' then return end
redis.call('SET', KEYS[1], id, 'PX', stays)
return redis.call('TIME')
