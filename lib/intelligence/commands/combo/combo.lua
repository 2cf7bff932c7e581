-- Answers whether all pages of a combo were visited.
-- keys     visited
-- message  items: pages as bloom_which() takes them; whole: are these all pages of the combo
-- Answer   1 or 0; or a part, which says that all pages so far were visited
commands['combo'] = function(keys, message)
  if #message.items == 0 then return '0' end
  local seen, done = look_up(keys.visited, message.items)
  for i = 1, done do
    if seen[i] == 0 then return '0' end
  end
  if message.whole and done == #message.items then return '1' end
  return '', 'part', done
end
