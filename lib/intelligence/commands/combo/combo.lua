-- Were all pages visited?
-- k  visited
-- a  1 where these are all of the combo's pages; pages as bloom_which takes them
-- Reply 1 or 0, or PART: so far, all
commands['combo'] = function(k, a, n)
  if n == 1 then return '0' end
  local seen, done = look_up(KEYS[k], a + 1, a + n - 1)
  for i = 1, done do
    if seen[i] == 0 then return '0' end
  end
  if ARGV[a] == '1' and done == n - 1 then return '1' end
  part_items, part_text = done, ''
  return PART
end
