-- Marks notifications as read. `seen` has a field for each list: the position up to which everything is read, then the positions after it
-- that are read, with spaces between. Positions up to the first one are removed, so that the field does not grow.
-- KEYS  seen, gone: of one subject
-- ARGV  how long the subject's data are kept from now on, ms; the channel for messages about the subject, '' where many positions are to
--       become one, which nobody is told; then for each list its field, the position up to which everything is read, and the position of a
--       single notification that is read, '' for none
-- Reply 1 if something was unread, 0 if nothing was; or 'gone' where the subject has ended, or the user's subject where it was carried
--       to a user; then the error of PUBLISH, or ''
local seen, gone, keepMs, channel = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local ended = redis.call('GET', gone)
-- a number: a user's data were erased; what is read after that is kept
if ended and tonumber(ended) then ended = nil end
if ended then return { ended == '' and 'gone' or ended, '' } end

local text = function(number) return string.format('%.0f', number) end
local marked, told = 0, ''
for i = 3, #ARGV, 3 do
  local field, upTo, single = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local stored = redis.call('HGET', seen, field)
  -- where positions are to become one that were erased meanwhile, they stay erased
  if stored or channel ~= '' then
    local before, rest = string.match(stored or '0', '^(%d+)(.*)$')
    before = tonumber(before)
    -- beside a single position, upTo adds only what the list has no more
    if not single and upTo > before then marked = 1 end
    upTo = math.max(upTo, before)
    local positions, isListed = {}, false
    for position in string.gmatch(rest, '%d+') do
      position = tonumber(position)
      if position == single then isListed = true end
      if position > upTo then positions[#positions + 1] = text(position) end
    end
    if single and single > before and not isListed then
      marked = 1
      if single > upTo then positions[#positions + 1] = text(single) end
    end
    table.insert(positions, 1, text(upTo))
    redis.call('HSET', seen, field, table.concat(positions, ' '))
  end
end
local left = redis.call('PTTL', seen)
-- the expiry is set a sixteenth later than needed, so that most calls need not renew it
if left >= -1 and left < keepMs then redis.call('PEXPIRE', seen, keepMs + math.ceil(keepMs / 16)) end
if marked == 1 and channel ~= '' then
  local reply = redis.pcall('PUBLISH', channel, '{"type":"read"}')
  told = type(reply) == 'table' and reply.err or ''
end
return { marked, told }
