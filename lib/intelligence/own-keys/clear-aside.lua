-- Removes what set-aside.lua has set aside, once the user has it.
-- KEYS   own, of the anonymous subject
-- ARGV   [1] as JSON: the id of what was set aside: what another has set aside since stays
local own = KEYS[1]
if redis.call('GET', own .. '::aside') ~= messages.id then return end
for _, name in ipairs(own_names(own)) do redis.call('UNLINK', own .. ':' .. name .. ':aside') end
redis.call('UNLINK', own .. '::aside')
