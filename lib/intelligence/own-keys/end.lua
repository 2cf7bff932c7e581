-- After an application's command has run: its keys expire with the subject. Where that has ended meanwhile, they go.
-- KEYS   own, gone
-- ARGV   as begin.lua has them
-- Reply  { 'kept' }; { 'gone' }; { 'moved', the user's subject }: what is there is to be carried
local own, gone, message = KEYS[1], KEYS[2], messages
local ended, to = has_ended(gone, message)
if ended == 'gone' then
  -- one by one: an ACL's rights are each key's own
  for _, name in ipairs(message.names) do redis.call('UNLINK', own .. ':' .. name) end
  return { ended }
end
note_own(own, message) -- the command may have taken longer than they were kept
keep_own(own, message.ttl, kept_for(message.ttl))
return { ended or 'kept', to }
