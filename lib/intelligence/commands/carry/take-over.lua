-- Adds the data that set-aside.lua has set aside of an anonymous visitor to the data about the user. In the script it stands after the
-- prelude, the Bloom filter's functions, activity-ring.lua and join-activity.lua, and standaloneScript() (script.ts) puts the lists NAMES and
-- KEPT before it, and ACTIVITY_DAYS.
-- KEYS   the user's keys in the order of NAMES, among them gone: the mark that the user's data were erased (prelude.lua);
--        merged: in a Cluster, the subjects that were carried to this user, a sorted set by the second until which each is
--        remembered; carried: for a moment, the visitor's pages. Then, if it is on the same server (not in a Cluster), the
--        visitor's key `carried`: `aside` below
-- ARGV   [1] a JSON object: ttl: of the user's keys, ms; pages, notifications: as
--        bloom_add_all() takes them; texts: the pages as they are stored, used where [3] is ''; from: the anonymous subject;
--        asideMs: how long `carried`, and a subject in `merged`, stay, ms
--        [2] the visitor's activity, a string; [3] the visitor's pages, a HyperLogLog, or '' where it can't be merged into the user's,
--        whose items are keyed otherwise
-- Reply  1 if the data were added; 0 if they had been added before, or the user's data were erased
local message = messages -- the prelude decodes [1], which is one message here
local keys, aside = {}, KEYS[#NAMES + 1]
for i, name in ipairs(NAMES) do keys[name] = KEYS[i] end

if aside then
  if redis.call('EXISTS', aside) == 0 then return 0 end
else
  redis.call('ZREMRANGEBYSCORE', keys.merged, '-inf', clock())
  if redis.call('ZSCORE', keys.merged, message.from) then return 0 end
end
-- What was set aside before the user's data were erased does not come back. In a Cluster the two moments are by the clocks of two nodes and can't
-- be compared, so nothing is added while the mark is there.
local gone = redis.call('GET', keys.gone)
if gone then
  local erased = aside and erased_at(keys.gone, gone)
  local set_aside_ms = aside and tonumber(redis.call('HMGET', aside, 'at')[1] or '') or 0
  if not erased or set_aside_ms <= erased then
    if aside then redis.call('UNLINK', aside) end
    return 0
  end
end

-- Where the activity or a filter can't be read, an error is raised here, before anything is added.
local user, visitor = new_activity(), new_activity()
read_activity(user, redis.call('GET', keys.activity) or '')
read_activity(visitor, ARGV[2])
bloom_check(keys.visited)
bloom_check(keys.notified)

local keep_ms = kept_for(message.ttl)
-- a HyperLogLog begins with HYLL: one that a user without pages can have as it is
if ARGV[3]:sub(1, 4) == 'HYLL' and redis.call('EXISTS', keys.pages) == 0 then
  redis.call('SET', keys.pages, ARGV[3])
elseif ARGV[3] ~= '' then
  redis.call('SET', keys.carried, ARGV[3], 'PX', message.asideMs) -- it expires even if a later command fails
  redis.call('PFMERGE', keys.pages, keys.carried)
  redis.call('UNLINK', keys.carried)
elseif #message.texts > 0 then
  redis.call('PFADD', keys.pages, unpack(message.texts))
end
bloom_add_all(keys.visited, message.pages)
bloom_add_all(keys.notified, message.notifications)
if not (user.is_new and visitor.is_new) then
  local joined, tokens = user, nil
  if user.is_new and ring_fits(visitor) then
    joined, tokens = visitor, '' -- pack_head() leaves the tokens that the visitor has
  else
    join_activity(user, visitor)
    tokens = joined_tokens(user, visitor)
  end
  joined.unique_pages = redis.call('PFCOUNT', keys.pages)
  joined.expires = clock() + math.floor(keep_ms / 1000)
  local ring = joined.ring or joined.data:sub(HEAD_BYTES + 1)
  redis.call('SET', keys.activity, pack_head(joined, tokens) .. ring, 'KEEPTTL')
end
if aside then
  redis.call('UNLINK', aside)
else
  redis.call('ZADD', keys.merged, clock() + math.ceil(message.asideMs / 1000), message.from)
  lengthen(keys.merged, message.asideMs)
end
for _, name in ipairs(KEPT) do lengthen(keys[name], keep_ms) end
return 1
