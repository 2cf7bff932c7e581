-- Carries the keys of an application's commands from an anonymous visitor to the user as whom the visitor has logged in, where both are on one
-- server (in a Cluster: set-aside.lua). It is one step, so a call that is repeated finds nothing more to carry.
-- KEYS   of the anonymous visitor: own, gone; of the user: own, gone, activity
-- ARGV   [1] as JSON, in `messages`: user, the user's subject; ttl of the user's data, ms; messageAgeMs: how long `gone` stays
-- Reply  how many keys there were, then the names that could not be merged, each with the reason
local from_own, from_gone, own, gone, activity = unpack(KEYS)
local message = messages
local to = redis.call('GET', from_gone)
if to and to ~= message.user then return { 0 } end -- the visitor was erased, or carried to somebody else
local names = own_names(from_own)
if #names == 0 then return { 0 } end
-- what comes for the visitor from now on is the user's: commands/carry/set-aside.lua may say so later
if not to then redis.call('SET', from_gone, message.user, 'PX', message.messageAgeMs) end
local merges = redis.call('HMGET', from_own, unpack(names))
local function from_key(name) return from_own .. ':' .. name end
-- An erasure that says its time (prelude.lua) took also what was not carried yet: what is here came later. '' says no time
if redis.call('GET', gone) == '' then
  for _, name in ipairs(names) do redis.call('UNLINK', from_key(name)) end
  redis.call('UNLINK', from_own)
  return { 0 }
end
local faults = merge_all(own, activity, names, merges, from_key, message.ttl)
redis.call('UNLINK', from_own)
return { #names, unpack(faults) }
