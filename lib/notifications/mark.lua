-- Marks notifications as read. A field of `seen` is one list's: the position up to which all is read, and those behind it that are, with
-- spaces between. What is up to the first is not listed any more, so that it does not grow.
-- KEYS  of one subject: seen, gone
-- ARGV  how long what is kept of the subject lives from now on, in ms; the channel of what is told of the subject; then for each list its
--       field, the position up to which all is read, and the position of one that is read, '' for none
-- Reply 1 something was marked that had not been read, 0 nothing; or, where the subject has ended, 'gone', or the user's subject who stands
--       in its place; then why nobody could be told, '' where it was told
local seen, gone, keepMs, channel = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local ended = redis.call('GET', gone)
if ended then return { ended == '' and 'gone' or ended, '' } end

local text = function(number) return string.format('%.0f', number) end
local marked, told = 0, ''
for i = 3, #ARGV, 3 do
  local field, upTo, one = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local before, rest = string.match(redis.call('HGET', seen, field) or '0', '^(%d+)(.*)$')
  before = tonumber(before)
  if not one and upTo > before then marked = 1 end
  upTo = math.max(upTo, before)
  local positions, isListed = {}, false
  for position in string.gmatch(rest, '%d+') do
    position = tonumber(position)
    if position == one then isListed = true end
    if position > upTo then positions[#positions + 1] = text(position) end
  end
  if one and one > before and not isListed then
    marked = 1
    if one > upTo then positions[#positions + 1] = text(one) end
  end
  table.insert(positions, 1, text(upTo))
  redis.call('HSET', seen, field, table.concat(positions, ' '))
end
local left = redis.call('PTTL', seen)
if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
if marked == 1 and channel ~= '' then
  local reply = redis.pcall('PUBLISH', channel, '{"type":"read"}')
  told = type(reply) == 'table' and reply.err or ''
end
return { marked, told }
