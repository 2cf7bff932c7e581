-- Adds the data that set-aside.lua has set aside of an anonymous visitor to the data about the user. In the script it stands after the
-- prelude, the Bloom filter's functions and activity-ring.lua.
-- KEYS   the user's keys, and `gone`, in the order of NAMES; then the visitor's key `carried`, if it is on the same server
-- ARGV   [1] a JSON object: ttl: of the user's keys, ms; days: how many days of activity are kept; pages, notifications: as
--        bloom_add_all() takes them; texts: the pages as they are stored, used where [3] is ''; from: the anonymous subject;
--        asideMs: how long `carried` stays, ms
--        [2] the visitor's activity, a string; [3] the visitor's pages, a HyperLogLog, or '' where it can't be merged into the user's,
--        whose items are keyed otherwise
-- Reply  1 if the data were added; 0 if they had been added before, or the user's data were erased
local message = messages
local keys, aside = {}, KEYS[#NAMES + 1]
for i, name in ipairs(NAMES) do keys[name] = KEYS[i] end

if aside then
  if redis.call('EXISTS', aside) == 0 then return 0 end
else
  redis.call('ZREMRANGEBYSCORE', keys.merged, '-inf', clock())
  if redis.call('ZSCORE', keys.merged, message.from) then return 0 end
end
-- What was set aside before the user's data were erased does not come back. In a Cluster the two times are two nodes' own.
local gone = redis.call('GET', keys.gone)
if gone then
  local erased = aside and erased_at(keys.gone, gone)
  if not erased or (tonumber(redis.call('HMGET', aside, 'at')[1] or '') or 0) <= erased then
    if aside then redis.call('UNLINK', aside) end
    return 0
  end
end

-- All types are known before the first write.
local slots = message.days + 1
local one = unpack_activity(redis.call('GET', keys.activity) or '', slots)
local other = unpack_activity(ARGV[2], slots)
bloom_check(keys.visited)
bloom_check(keys.notified)

local keep_ms = kept_for(message.ttl)
if ARGV[3] ~= '' then
  redis.call('SET', keys.carried, ARGV[3], 'PX', message.asideMs) -- it expires even if a later command fails
  redis.call('PFMERGE', keys.pages, keys.carried)
  redis.call('UNLINK', keys.carried)
elseif #message.texts > 0 then
  redis.call('PFADD', keys.pages, unpack(message.texts))
end
bloom_add_all(keys.visited, message.pages)
bloom_add_all(keys.notified, message.notifications)
if not (one.is_new and other.is_new) then
  join_activity(one, other)
  one.unique_pages = redis.call('PFCOUNT', keys.pages)
  one.expires = clock() + math.floor(keep_ms / 1000)
  redis.call('SET', keys.activity, pack_head(one, joined_tokens(one, other)) .. one.ring, 'KEEPTTL')
end
if aside then
  redis.call('UNLINK', aside)
else
  redis.call('ZADD', keys.merged, clock() + math.ceil(message.asideMs / 1000), message.from)
  keep_for(keys.merged, message.asideMs)
end
for _, name in ipairs(KEPT) do keep_for(keys[name], keep_ms) end
return 1
