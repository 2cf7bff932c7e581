-- What every command of work.lua may use.
local KEYS, ARGV = KEYS, ARGV -- nearer than globals
local commands = {} -- by name: a function (k, its first of KEYS; a, its first of ARGV; n, how many arguments; ttl in ms; does
-- somebody wait; is it a call that is sent again) that gives the answer as JSON, nothing, AGAIN (counted before) or GONE (its session was destroyed)
local AGAIN, GONE = {}, {}

-- What is known of a session is kept for longer than the session by a sixteenth of its ttl, so that it need not be renewed at
-- each request and is never gone before the session.
local function kept_for(ttl) return ttl + math.ceil(ttl / 16) end

-- Lets a key live for so long, in ms. It shortens nothing: whoever may publish may say any ttl for any session.
local function keep_for(key, ms)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and left < ms) then redis.call('PEXPIRE', key, ms) end
end

-- Redis' clock in seconds, one TIME a call
local seconds
local function clock()
  seconds = seconds or tonumber(redis.call('TIME')[1])
  return seconds
end
