-- Sets aside, in a Cluster, the keys of an application's commands of an anonymous visitor who has logged in.
-- KEYS   of the anonymous subject: own, gone
-- ARGV   [1] as JSON: user, the user's subject; id of this setting aside; messageAgeMs: how long `gone` stays; asideMs: how long what is
--        set aside does
-- Reply  nothing where there is nothing to carry; else the id of what is set aside, and by turns a name, how it is merged, and the
--        value as DUMP gives it. The same again, until clear-aside.lua has removed that.
local own, gone, message = KEYS[1], KEYS[2], messages
local to = redis.call('GET', gone)
if to and to ~= message.user then return {} end
local names = own_names(own)
if #names == 0 then return {} end
if not to then redis.call('SET', gone, message.user, 'PX', message.messageAgeMs) end
local aside = own .. '::aside'
local id = redis.call('GET', aside)
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
    redis.call('UNLINK', own) -- a command that is running notes its keys again
    return {}
  end
  redis.call('SET', aside, id, 'PX', message.asideMs)
  keep_for(own, message.asideMs)
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
