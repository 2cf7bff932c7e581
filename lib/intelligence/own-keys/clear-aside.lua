-- Removes the keys that set-aside.lua has renamed, after take-over.lua has merged them into the user's.
-- KEYS   own, of the anonymous visitor
-- ARGV   [1] as JSON, in `messages`: id, which set-aside.lua gave; keys that another call has renamed since stay
-- Reply  nothing
local own = KEYS[1]
if redis.call('GET', own .. '::aside') ~= messages.id then return end
for _, name in ipairs(own_names(own)) do redis.call('UNLINK', own .. ':' .. name .. ':aside') end
redis.call('UNLINK', own .. '::aside')
