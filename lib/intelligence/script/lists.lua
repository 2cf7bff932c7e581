-- Lists are looked up as far as one call's time goes, so that none holds Redis for long; the caller sends the rest again.
local left_for_lists = 1600 -- of a call, in what bloom_which() counts; a list has a quarter

-- which of the items may be there, and how many were looked up
local function look_up(key, items)
  local seen, done, cost = bloom_which(key, items, math.min(left_for_lists, 400))
  left_for_lists = left_for_lists - cost
  return seen, done
end

-- A JSON array, where the message has the whole list and all of it was looked up; else a part of it.
local function list_answer(message, texts, done)
  local text = table.concat(texts, ',')
  if message.whole and done == #message.items then return '[' .. text .. ']' end
  return text, 'part', done
end
