-- Which notifications of a list were seen.
-- k  notified
-- a  ids as bloom_which takes them; then of each what stands before `seen` in the reply
-- Reply a JSON array of {"id":…,"seen":…}
commands['notifications'] = function(k, a, n)
  local many, list = n / 2, {}
  if many > 0 then
    local seen = bloom_which(KEYS[k], a, a + many - 1)
    for i = 1, many do list[i] = ARGV[a + many + i - 1] .. (seen[i] == 0 and 'false}' or 'true}') end
  end
  return '[' .. table.concat(list, ',') .. ']'
end
