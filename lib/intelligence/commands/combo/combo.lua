-- Answers whether this visitor has visited all pages of a combo, which is a list of pages with a name.
-- keys     visited: the Bloom filter of all pages that the visitor has visited
-- message  items: the pages to look up, each as bloom_which() takes it, of the combo or of its part that is still to be answered; whole:
--          true where `items` are all pages of the combo, and not a part
-- Answer   1 or 0; or, where one call may not take the time for all pages (lists.lua), a part without a text: the pages that were looked
--          up were all visited
commands['combo'] = function(keys, message)
  if #message.items == 0 then return '0' end
  local seen, looked_up = look_up(keys.visited, message.items)
  for i = 1, looked_up do
    if seen[i] == 0 then return '0' end
  end
  if message.whole and looked_up == #message.items then return '1' end
  return '', 'part', looked_up
end
