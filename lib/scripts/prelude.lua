-- What every command of work.lua may use.
local redis, KEYS, ARGV = redis, KEYS, ARGV -- nearer than globals
local commands = {} -- by name: a function (k, its first of KEYS; a, its first of ARGV; n, how many arguments; ttl in ms; does
-- somebody wait) that gives the answer as JSON, nothing, or AGAIN
local AGAIN = {}

-- Redis' clock in seconds, one TIME a call
local seconds
local function clock()
  seconds = seconds or tonumber(redis.call('TIME')[1])
  return seconds
end
