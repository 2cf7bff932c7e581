-- The last part of a worker's script where streams, lists of answers and data are on one Redis. loop.lua, which works on the messages,
-- calls the functions take, deliver, refuse and finish. This part acknowledges a message's stream entry before its message is worked on,
-- and pushes the answers when all messages are done: one RPUSH for each list.
-- The script defines before these lines: push_answers() (push-answers.lua); GROUP, the name of the streams' consumer group; after how many
-- ms an inbox (INBOX_TTL_MS) and a list of one request (REPLY_TTL_MS) expire.
-- KEYS     this part adds to those of loop.lua: the lists that answers are pushed to, and the streams
-- message  has these fields, as well as those of loop.lua:
--            list    the number among KEYS of the list that the answer is pushed to; nothing where nobody waits for an answer
--            head    the beginning of a JSON object, as `{"id":"…","command":"…",`, where the list is an inbox: a field with the answer is
--                    put after it, and the object is closed. Nothing where the list is of this one request: the answer stands there alone
--            stream  the number among KEYS of the stream; nothing for a message that was published, or is acknowledged already
--            entry   the id of the message's entry in that stream
-- Notes    { 'unpushed', why }, or { 'pushed', one text of five words with spaces between: the list's expiry in ms, how many answers it had
--          before, how many were pushed, their bytes, the list's key }, for each list
local answers = {} -- the texts to push, by the number of their list
local list_numbers = {} -- the numbers of these lists, in the order of their first answers

-- May this message be worked on? XACK removes the entry from those that are pending in the consumer group, and answers 1 to the one caller
-- who did: a second worker that has the same entry gets 0 and leaves it. So does one whose stream is gone, or has made room for another type.
local function take(message)
  if not message.entry then return true end
  local taken = redis.pcall('XACK', KEYS[message.stream], GROUP, message.entry)
  if type(taken) ~= 'table' then return taken == 1 end
  if taken.err:find('WRONGTYPE', 1, true) then return false end
  redis.call('XACK', KEYS[message.stream], GROUP, message.entry) -- raises the error
end

local function push(message, text)
  local texts = answers[message.list]
  if not texts then
    -- all answers of one list have the same ttl: an inbox's key is never that of a request's own list
    texts = { ttl = message.head and INBOX_TTL_MS or REPLY_TTL_MS }
    answers[message.list] = texts
    list_numbers[#list_numbers + 1] = message.list
  end
  texts[#texts + 1] = text
end

-- Keeps an answer, which is JSON, to be pushed. Gives what the script replies for this message: '', since the answer goes to its list.
local function deliver(message, answer)
  if message.list then push(message, message.head and message.head .. '"data":' .. answer .. '}' or answer) end
  return ''
end

-- Keeps an error in an answer's place. A list of one request has no form for an error: its asker's own timer ends the wait.
local function refuse(message)
  if message.head then push(message, message.head .. '"error":"The command failed"}') end
end

local function finish(note)
  for _, number in ipairs(list_numbers) do
    local texts, key = answers[number], KEYS[number]
    local wrong, length_before = push_answers(key, texts.ttl, texts)
    if wrong then
      note('unpushed', wrong) -- who waits gets no answer; what was done stays done
    else
      local bytes = 0
      for i = 1, #texts do bytes = bytes + #texts[i] end
      note('pushed', ('%d %d %d %d %s'):format(texts.ttl, length_before, #texts, bytes, key))
    end
  end
end
