-- A function that notes the names of a command's keys in the hash `own`, and how a login merges each, so that whoever erases or carries the
-- subject's data finds them. The hash lives at least as long as the keys.
-- Takes the key of the hash, and a message: names and merges, two lists of equal length; ttl of the subject in ms.
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
  lengthen(own, kept_for(message.ttl))
end
