-- Renames the keys that an application's commands keep of an anonymous visitor who has logged in, and gives their values. Only in a Cluster,
-- where the visitor's keys and the user's may be on two nodes: take-over.lua brings the values there, and clear-aside.lua removes the
-- renamed keys.
-- KEYS   of the anonymous subject: own, gone
-- ARGV   [1] as JSON, in `messages`: user, the user's subject; id, a random name of this call; messageAgeMs: how long `gone`
--        stays; asideMs: how long the renamed keys stay
-- Reply  nothing where there is nothing to carry; else the id of the call that has renamed the keys, and by turns a name, how it is merged,
--        and the value as DUMP gives it. A further call gives the same until clear-aside.lua has removed the keys.
local own, gone, message = KEYS[1], KEYS[2], messages
local to = redis.call('GET', gone)
if to and to ~= message.user then return {} end
local names = own_names(own)
if #names == 0 then return {} end
if not to then redis.call('SET', gone, message.user, 'PX', message.messageAgeMs) end
local id_key = own .. '::aside'
local id = redis.call('GET', id_key)
if not id then
  for _, name in ipairs(names) do
    local key = own .. ':' .. name
    if redis.call('EXISTS', key) == 1 then
      redis.call('RENAME', key, key .. ':aside')
      redis.call('PEXPIRE', key .. ':aside', message.asideMs)
      id = message.id
    end
  end
  if not id then
    redis.call('UNLINK', own) -- a command that is running notes its keys again when it has ended (end.lua)
    return {}
  end
  redis.call('SET', id_key, id, 'PX', message.asideMs)
  lengthen(own, message.asideMs) -- it names the renamed keys
end
local merges = redis.call('HMGET', own, unpack(names))
local reply = { id }
for i, name in ipairs(names) do
  local value = redis.call('DUMP', own .. ':' .. name .. ':aside')
  if value then
    for _, part in ipairs({ name, merges[i], value }) do reply[#reply + 1] = part end
  end
end
return reply
