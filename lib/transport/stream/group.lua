-- Creates a consumer group, and its stream, where there is none. The group begins at the stream's first entry.
-- KEYS  stream
-- ARGV  group
-- Reply 1 where it was created, else 0

-- A Redis that is full refuses XGROUP CREATE as a script's first write, and allows it after another one. This one does nothing.
local acknowledged = redis.pcall('XACK', KEYS[1], ARGV[1], '0-0')
if type(acknowledged) == 'table' then return acknowledged end -- an error
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if not created.err then return 1 end
if created.err:find('BUSYGROUP', 1, true) then return 0 end
return created
