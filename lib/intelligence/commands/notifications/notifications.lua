-- Answers which notifications of a list were seen.
-- keys     notified
-- message  items: ids as bloom_which() takes them; names: each id as JSON; whole: is this all of the list
-- Answer   a JSON array of {"id":…,"seen":…}, or a part of it
commands['notifications'] = function(keys, message)
  local list = {}
  local seen, done = look_up(keys.notified, message.items)
  for i = 1, done do
    list[i] = '{"id":' .. message.names[i] .. ',"seen":' .. (seen[i] == 0 and 'false}' or 'true}')
  end
  return list_answer(message, list, done)
end
