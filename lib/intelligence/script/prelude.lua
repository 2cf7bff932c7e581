-- What every command of the script may use.
local redis, KEYS = redis, KEYS -- locals are found faster than globals
local messages = cjson.decode(ARGV[1]) -- see loop.lua
-- By a command's name: a function (keys by name, message), which gives its answer as JSON, or nothing; and its outcome,
-- where that is not 'done': 'duplicate' (it was counted before), 'gone' (its session was destroyed), 'moved' (its visitor has logged
-- in: the third value is the user's subject), or 'part' (of a list, some items were looked up: how many is the third value, and the
-- answer is the text that they make).
local commands = {}
-- By a command's name: a function (keys by name, message), which says whether the command needs all keys of its subject. It is asked where
-- message.all is not set, right before the command; if it says so, the message is sent again, with all keys and message.all.
local needs_all_keys = {}

-- What is known of a session is kept for longer than the session by a sixteenth of its ttl, so that it need not be renewed at
-- each request and is never gone before the session.
local function kept_for(ttl) return ttl + math.ceil(ttl / 16) end

-- Lets a key live for so long, in ms. It shortens nothing: whoever may publish may say any ttl for any session.
local function lengthen(key, ms)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and left < ms) then redis.call('PEXPIRE', key, ms) end
end

-- An anonymous subject keeps so many pages, and so many notifications that were read, as a list beside their filter, from which nothing
-- can be read: they are what a login carries to the user (commands/carry).
local MAX_CARRIED = 128

-- Notes an item in such a list, a string in which the items stand without anything between: one form of item has one length (stored-item.ts).
-- Is the list new? What is no list is left alone.
local function note_item(list, item)
  local length = tonumber(redis.pcall('STRLEN', list)) or 0
  if length >= MAX_CARRIED * #item then return false end
  return redis.pcall('APPEND', list, item) == #item
end

-- When a user's data were erased, ms since 1970: `gone` says for how long it was set. Nothing where it says no such time.
local function erased_at(gone, value)
  local set_ms = tonumber(value)
  if not set_ms then return nil end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000) - (set_ms - redis.call('PTTL', gone))
end

-- Has what is kept of a subject ended? Then what a message makes of it: 'gone', or 'moved' and to which user. A user goes on after
-- their data were erased: what was sent later is new.
local function has_ended(gone, message)
  local to = redis.call('GET', gone)
  if not to then return nil end
  local erased = erased_at(gone, to)
  if to ~= '' and not erased then return 'moved', to end
  if erased and message.sentMs and message.sentMs > erased then return nil end
  return 'gone'
end

-- Redis' clock in seconds, one TIME a call
local seconds
local function clock()
  seconds = seconds or tonumber(redis.call('TIME')[1])
  return seconds
end
