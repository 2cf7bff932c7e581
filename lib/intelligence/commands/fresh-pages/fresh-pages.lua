-- Answers which pages of a list this visitor has not visited (the command's name on the wire is the white paper's, `featuredpages`).
-- keys     visited: the Bloom filter of all pages that the visitor has visited
-- message  items: the pages to look up, each as look_up() takes it (lists.lua), of the list or of its part that is still to be answered; names: the
--          same pages, each as JSON; whole: true where `items` is the whole list, and not a part
-- Answer   a JSON array of pages in the order of the list; of a part, or where one call may not take the time for all pages (lists.lua), the
--          array's elements without its brackets, which the process that called joins
commands['featuredpages'] = function(keys, message)
  local fresh = {}
  local seen, looked_up = look_up(keys.visited, message.items)
  for i = 1, looked_up do
    if seen[i] == 0 then fresh[#fresh + 1] = message.names[i] end -- surely not visited; 1 is probably visited
  end
  return list_answer(message, fresh, looked_up)
end
