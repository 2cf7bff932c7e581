-- Gives the hash of a namespace's item key, and adds to it what is not there yet.
-- KEYS  the hash (item-key.ts)
-- ARGV  the version; the fingerprint of the secret that makes the key where there is none yet, '' where none is to be made; then by turns the
--       fingerprint of another secret, and the key of this root, encrypted by that secret
-- Reply the hash, name and value by turns
local version = redis.call('HGET', KEYS[1], 'version')
if not version and ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'root', ARGV[2])
  version = ARGV[1]
end
-- A hash of another version is left as it is, and what encrypts the key of another root does not belong here.
if version == ARGV[1] and redis.call('HGET', KEYS[1], 'root') == ARGV[2] then
  for i = 3, #ARGV, 2 do
    -- HSETNX would take one more right of the ACL user
    if not redis.call('HGET', KEYS[1], ARGV[i]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  end
end
return redis.call('HGETALL', KEYS[1])
