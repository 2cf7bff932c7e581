-- Lists are looked up as far as one call's time goes, so that none holds Redis for long; the caller sends the rest again.
local left_for_lists = 1600 -- of a call, in what bloom_which() counts; a list has a quarter
local PART = {} -- a command's answer where a part of a list was looked up: how many items, and their text
local part_items, part_text

-- which of the items ARGV[from] to ARGV[to] may be there, and how many were looked up
local function look_up(key, from, to)
  local seen, done, cost = bloom_which(key, from, to, math.min(left_for_lists, 400))
  left_for_lists = left_for_lists - cost
  return seen, done
end

-- the answer, where `whole` says that this is all of the list and all was looked up
local function list_answer(whole, list, done, many)
  local text = table.concat(list, ',')
  if whole == '1' and done == many then return '[' .. text .. ']' end
  part_items, part_text = done, text
  return PART
end
