-- The pages of a list that were not visited, in its order.
-- k  visited
-- a  pages as bloom_which takes them; then each page as JSON
-- Reply a JSON array
commands['featuredpages'] = function(k, a, n)
  local many, fresh = n / 2, {}
  if many > 0 then
    local seen = bloom_which(KEYS[k], a, a + many - 1)
    for i = 1, many do
      if seen[i] == 0 then fresh[#fresh + 1] = ARGV[a + many + i - 1] end
    end
  end
  return '[' .. table.concat(fresh, ',') .. ']'
end
