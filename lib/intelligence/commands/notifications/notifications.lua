-- Answers which notifications of a list this visitor has seen.
-- keys     notified: the Bloom filter of the ids of all notifications that the visitor has seen
-- message  items: the ids to look up, each as bloom_which() takes it, of the list or of its part that is still to be answered; names: the
--          same ids, each as JSON; whole: true where `items` is the whole list, and not a part
-- Answer   a JSON array of {"id":…,"seen":…} in the order of the list, or the elements for the first ids alone, where one call may not take
--          the time for all of them (lists.lua)
commands['notifications'] = function(keys, message)
  local elements = {}
  local seen, looked_up = look_up(keys.notified, message.items)
  for i = 1, looked_up do
    elements[i] = '{"id":' .. message.names[i] .. ',"seen":' .. (seen[i] == 0 and 'false}' or 'true}')
  end
  return list_answer(message, elements, looked_up)
end
