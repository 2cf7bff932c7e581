-- Were all pages visited?
-- keys     visited
-- message  items: pages as bloom_which() takes them; whole: are these all of the combo's pages
-- Answer   1 or 0, or a part: so far, all
commands['combo'] = function(keys, message)
  if #message.items == 0 then return '0' end
  local seen, done = look_up(keys.visited, message.items)
  for i = 1, done do
    if seen[i] == 0 then return '0' end
  end
  if message.whole and done == #message.items then return '1' end
  return '', 'part', done
end
