-- Carries the keys of an application's commands from an anonymous visitor to the user as whom the visitor has logged in, where both are on one
-- server (in a Cluster: set-aside.lua). It is one step, so a call that is repeated finds nothing more to carry.
-- KEYS   of the anonymous visitor: own, gone; of the user: own, gone
-- ARGV   [1] as JSON: user, the user's subject; ttl of the user's data in ms; messageAgeMs: how long `gone` stays, ms
-- Reply  how many keys there were, then the names that could not be merged, each with the reason
local from, from_gone, own, gone = unpack(KEYS)
local message = messages
local to = redis.call('GET', from_gone)
if to and to ~= message.user then return { 0 } end -- it was destroyed, or is another user's
local names = own_names(from)
if #names == 0 then return { 0 } end
-- what comes for the visitor from now on is the user's: set-aside.lua may come later
if not to then redis.call('SET', from_gone, message.user, 'PX', message.messageAgeMs) end
local merges = redis.call('HMGET', from, unpack(names))
local function key(name) return from .. ':' .. name end
-- forget() erases what a user's other sessions have not carried, too: what is here came after it
if redis.call('GET', gone) == '' then
  for _, name in ipairs(names) do redis.call('UNLINK', key(name)) end -- the user's data were erased
  redis.call('UNLINK', from)
  return { 0 }
end
local faults = merge_all(own, names, merges, key, message.ttl)
redis.call('UNLINK', from)
return { #names, unpack(faults) }
