-- Answers which pages of a list were not visited, in the list's order.
-- keys     visited
-- message  items: pages as bloom_which() takes them; names: each page as JSON; whole: is this all of the list
-- Answer   a JSON array, or a part of it
commands['featuredpages'] = function(keys, message)
  local fresh = {}
  local seen, done = look_up(keys.visited, message.items)
  for i = 1, done do
    if seen[i] == 0 then fresh[#fresh + 1] = message.names[i] end
  end
  return list_answer(message, fresh, done)
end
