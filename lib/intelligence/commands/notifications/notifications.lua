-- Which notifications of a list were seen.
-- k  notified
-- a  1 where this is the whole list; ids as bloom_which takes them; then of each what stands before `seen` in the reply
-- Reply a JSON array of {"id":…,"seen":…}, or PART: what stands in it
commands['notifications'] = function(k, a, n)
  local many, list = (n - 1) / 2, {}
  local seen, done = look_up(KEYS[k], a + 1, a + many)
  for i = 1, done do list[i] = ARGV[a + many + i] .. (seen[i] == 0 and 'false}' or 'true}') end
  return list_answer(ARGV[a], list, done, many)
end
