-- Functions for the commands that look up lists in a Bloom filter. One call of the script may spend only so much on lists, so
-- that it never holds Redis for long: it answers for the first items of a list, and the process that called sends the others
-- again in a later call. Costs are what bloom_which() counts, in units of some 1 µs.
local MAX_LIST_COST = 400 -- of one list, so that four of them have room in a call
local lists_cost_left = 1600 -- what all lists of this call together may still cost

-- Looks items up in a filter, from the first one on as far as the costs allow. Gives a list of 0 (surely not there) and 1 (may be there),
-- and how many items were looked up.
local function look_up(key, items)
  local seen, looked_up, cost = bloom_which(key, items, math.min(lists_cost_left, MAX_LIST_COST))
  lists_cost_left = lists_cost_left - cost
  return seen, looked_up
end

-- Gives what a command returns whose answer is a JSON array. `elements` are the array's, each as JSON. Where the message has
-- the whole list and all of it was looked up, that is the array. Else it is a part: the elements without brackets, which the
-- process that called joins.
local function list_answer(message, elements, looked_up)
  local text = table.concat(elements, ',')
  if message.whole and looked_up == #message.items then return '[' .. text .. ']' end
  return text, 'part', looked_up
end
