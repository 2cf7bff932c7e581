-- Answers which pages of a list this visitor has not visited (the command's name on the wire is `featuredpages`).
-- keys     visited: the Bloom filter of all pages that the visitor has visited
-- message  items: the pages to look up, each as bloom_which() takes it, of the list or of its part that is still to be answered; names: the
--          same pages, each as JSON; whole: true where `items` is the whole list, and not a part
-- Answer   a JSON array of pages in the order of the list, or the elements found among the first pages alone, where one call may not take
--          the time for all of them (lists.lua)
commands['featuredpages'] = function(keys, message)
  local fresh = {}
  local seen, looked_up = look_up(keys.visited, message.items)
  for i = 1, looked_up do
    if seen[i] == 0 then fresh[#fresh + 1] = message.names[i] end
  end
  return list_answer(message, fresh, looked_up)
end
