-- Notes the names of a command's keys, and how each is merged. The note lives as long as what it tells of, at least.
local function note_own(own, message)
  local known = redis.call('HMGET', own, unpack(message.names))
  local fields = {}
  for i, name in ipairs(message.names) do
    if known[i] ~= message.merges[i] then
      fields[#fields + 1], fields[#fields + 2] = name, message.merges[i]
    end
  end
  if #fields == 0 then return end
  redis.call('HSET', own, unpack(fields))
  keep_for(own, kept_for(message.ttl))
end
