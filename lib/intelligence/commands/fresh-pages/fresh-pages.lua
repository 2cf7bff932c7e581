-- The pages of a list that were not visited, in its order.
-- k  visited
-- a  1 where this is the whole list; pages as bloom_which takes them; then each page as JSON
-- Reply a JSON array, or PART: what stands in it
commands['featuredpages'] = function(k, a, n)
  local many, fresh = (n - 1) / 2, {}
  local seen, done = look_up(KEYS[k], a + 1, a + many)
  for i = 1, done do
    if seen[i] == 0 then fresh[#fresh + 1] = ARGV[a + many + i] end
  end
  return list_answer(ARGV[a], fresh, done, many)
end
