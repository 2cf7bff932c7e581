-- What every command of the script may use.
local redis, KEYS = redis, KEYS -- locals are found faster than globals
local messages = cjson.decode(ARGV[1]) -- see loop.lua
-- By a command's name: a function (keys by name, message), which gives its answer as JSON, or nothing; and its outcome,
-- where that is not 'done': 'duplicate' (it was counted before), 'gone' (its session was destroyed), 'moved' (its visitor has logged
-- in: the third value is the user's subject), or 'part' (of a list, some items were looked up: how many is the third value, and the
-- answer is the text that they make).
local commands = {}
-- By a command's name: a function (keys by name, message), which says whether the command needs all keys of its subject. It is
-- called where message.all is not set, right before the command; if the command needs them, the message is sent again with all
-- keys and message.all.
local needs_all_keys = {}

-- For how many ms the data about a session are kept, whose own time is `ttl` ms: a sixteenth longer, so that they need not be
-- renewed at each request and are never gone before the session.
local function kept_for(ttl) return ttl + math.ceil(ttl / 16) end

-- Lets a key live for at least so many ms. It shortens nothing, since whoever may publish may say any ttl for any session.
local function lengthen(key, ms)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and left < ms) then redis.call('PEXPIRE', key, ms) end
end

-- How many pages, and how many notifications that were read, an anonymous subject has in a list beside their filter. A login
-- carries the lists' items to the user (commands/carry), since no filter can list what is in it.
local MAX_CARRIED = 128

-- Notes an item in such a list, a string in which the items stand without anything between: one form of item has one length (stored-item.ts).
-- Gives true where the list is new. A key that is something else is left alone.
local function note_item(list, item)
  local length = tonumber(redis.pcall('STRLEN', list)) or 0
  if length >= MAX_CARRIED * #item then return false end
  return redis.pcall('APPEND', list, item) == #item
end

-- When a user's data were erased, ms since 1970. `value`, which the key `gone` has, says for how many ms it was set. Nothing
-- where it says something else.
local function erased_at(gone, value)
  local set_ms = tonumber(value)
  if not set_ms then return nil end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000) - (set_ms - redis.call('PTTL', gone))
end

-- Have the data of a message's subject ended? Gives nothing if not, else the outcome of the message: 'gone', or 'moved' and the
-- subject of the user. A user goes on after their data were erased: a message that was sent later counts.
local function has_ended(gone, message)
  local to = redis.call('GET', gone)
  if not to then return nil end
  local erased = erased_at(gone, to)
  if to ~= '' and not erased then return 'moved', to end
  if erased and message.sentMs and message.sentMs > erased then return nil end
  return 'gone'
end

-- Gives Redis' clock in seconds since 1970. A call of the script asks for it once.
local seconds
local function clock()
  seconds = seconds or tonumber(redis.call('TIME')[1])
  return seconds
end
