-- Were all pages visited?
-- k  visited
-- a  pages as bloom_which takes them
-- Reply 1 or 0
commands['combo'] = function(k, a, n)
  if n == 0 then return '0' end
  local seen = bloom_which(KEYS[k], a, a + n - 1)
  for i = 1, n do
    if seen[i] == 0 then return '0' end
  end
  return '1'
end
