-- Gives for how many ms the keys that an application's commands keep of a user live: as long as `ttl` says, or as what else is kept of this user,
-- where that is longer. A message that was sent for a visitor who has logged in since says for how long the visitor's session is kept, and a
-- user is mostly kept for longer.
-- Takes the user's keys `own` and `activity`; the message's ttl in ms.
local function kept_with(own, activity, ttl)
  return math.max(kept_for(ttl), redis.call('PTTL', own), redis.call('PTTL', activity))
end
